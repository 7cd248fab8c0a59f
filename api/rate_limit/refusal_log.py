"""A line in the log now and then of the requests that limits refuse, and of whom most come."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

log = logging.getLogger("api.rate_limit")

# Seconds between two lines.
PAUSE_SECONDS: Final = 10.0
# Clients that are counted apart until the next line.
MAX_CLIENTS: Final = 1_000


class RefusalLog:
    """The refused requests of one process since its last line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused: Counter[tuple[str, str]] = Counter()
        self._total = 0
        self._next = float("-inf")

    def note(self, bucket: str, client: str) -> None:
        """Count a refused request of this client, named as its bucket is."""
        self._total += 1
        if len(self._refused) < MAX_CLIENTS or (bucket, client) in self._refused:
            self._refused[bucket, client] += 1
        now = self._clock()
        if now < self._next:
            return
        self._next = now + PAUSE_SECONDS
        ((most_bucket, most_client), most), *_ = self._refused.most_common(1)
        log.warning(
            "limits refused %d requests; %d of them were of %s in the bucket %s",
            self._total,
            most,
            most_client,
            most_bucket,
        )
        self._refused.clear()
        self._total = 0
