"""How often an endpoint may be asked: a token bucket that can also be closed for a while.

Ours because a call must see which endpoint is free without taking its turn, and because a
Retry-After holds up all threads; pyrate-limiter, the kept library of this kind, has neither,
and its buckets run a thread each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock


class RateLimiter:
    """``rate`` turns a second, up to ``burst`` of them at once; None: no limit but holds.

    The generic cell rate algorithm, which is a token bucket with one number for its state.
    Shared by threads.
    """

    def __init__(
        self, rate: float | None, burst: int = 1, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if rate is not None and rate <= 0:
            raise ValueError("the limit must be more than 0 calls a second")
        self._interval = 0.0 if rate is None else 1 / rate
        self._slack = self._interval * (burst - 1)
        self._clock = clock
        self._lock = Lock()
        # When the bucket is full again, and until when it is closed.
        self._full_at = clock()
        self._held_until = self._full_at

    def wait(self) -> float:
        """Seconds until the next turn, which is not taken."""
        with self._lock:
            now = self._clock()
            return self._turn(now) - now

    def take(self, patience: float) -> float | None:
        """Take the next turn: the seconds until it. None, and nothing is taken, when it is more
        than ``patience`` seconds away.
        """
        with self._lock:
            now = self._clock()
            turn = self._turn(now)
            if turn - now > patience:
                return None
            self._full_at = max(turn, self._full_at) + self._interval
            return turn - now

    def hold(self, seconds: float) -> None:
        """Give no turn for so long."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def _turn(self, now: float) -> float:
        return max(now, self._full_at - self._slack, self._held_until)
