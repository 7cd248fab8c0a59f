"""How many ballots are accepted from one address in an hour, counted in this process.

A wallet has one ballot per vote anyway. The limit is generous, because many voters may share an
address, and a refused ballot can be sent again: nothing is lost.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Final

from api.connections.client_address import address_key
from api.errors import limit_exceeded

_WINDOW_SECONDS: Final = 3600.0


class BallotLimit:
    """Counts the stored ballots of each address; the counts start again every hour."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._stored: Counter[str] = Counter()
        self._ends = time.monotonic() + _WINDOW_SECONDS

    def require_below(self, address: str) -> None:
        """Raise ApiError 429 where the address has reached the limit."""
        now = time.monotonic()
        if now >= self._ends:
            self._stored.clear()
            self._ends = now + _WINDOW_SECONDS
        if self._stored[address_key(address)] >= self._allowed:
            wait = max(1, math.ceil(self._ends - now))
            raise limit_exceeded("ballots_per_address_hour", self._allowed, wait)

    def count(self, address: str) -> None:
        """Count a ballot that was stored."""
        self._stored[address_key(address)] += 1
