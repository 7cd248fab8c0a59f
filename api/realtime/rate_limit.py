"""A limit on the messages of one socket."""

from __future__ import annotations

import time
from collections import deque


class RateLimit:
    """Allows a number of messages in any 60 seconds."""

    def __init__(self, per_minute: int) -> None:
        self._limit = per_minute
        self._times: deque[float] = deque()

    def allow(self) -> bool:
        """Count one message and return whether it is within the limit."""
        now = time.monotonic()
        while self._times and self._times[0] < now - 60:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self._limit
