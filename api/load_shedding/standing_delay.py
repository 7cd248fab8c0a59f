"""The delay that stands: what the last measurements had in common.

A burst delays the event loop for a moment and is worked off. Only a delay that no measurement of a
while falls below shows that more arrives than can be done (the idea of CoDel, RFC 8289).
"""

from __future__ import annotations

from collections import deque
from typing import Final

# Measurements that must agree.
MEASUREMENTS: Final = 5


class StandingDelay:
    """The least of the last measurements, in seconds."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=MEASUREMENTS)

    def add(self, seconds: float) -> None:
        """Take a measurement."""
        self._last.append(seconds)

    @property
    def seconds(self) -> float:
        """The standing delay; 0 before there are enough measurements."""
        return min(self._last) if len(self._last) == MEASUREMENTS else 0.0
