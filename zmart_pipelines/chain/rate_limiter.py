"""A rate limiter: a token bucket that can also be paused.

It is hand-written because the pool must see which endpoint is free without consuming a turn,
and because a Retry-After pauses all threads. pyrate-limiter, the maintained library for this,
offers neither, and each of its buckets runs a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock


class RateLimiter:
    """Allows ``rate`` calls per second, up to ``burst`` at once; None: only pauses limit it.

    The generic cell rate algorithm: a token bucket whose state is one number. Shared by
    threads.
    """

    def __init__(
        self, rate: float | None, burst: int = 1, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if rate is not None and rate <= 0:
            raise ValueError("the rate limit must be more than 0 calls per second")
        self._interval = 0.0 if rate is None else 1 / rate
        self._slack = self._interval * (burst - 1)
        self._clock = clock
        self._lock = Lock()
        # When the bucket will be full again, and when a pause ends.
        self._full_at = clock()
        self._paused_until = self._full_at

    def wait(self) -> float:
        """Return the seconds until the next turn, without consuming it."""
        with self._lock:
            now = self._clock()
            return self._next_turn(now) - now

    def acquire(self, patience: float) -> float | None:
        """Consume the next turn and return the seconds until it.

        Return None and consume nothing when it is more than ``patience`` seconds away.
        """
        with self._lock:
            now = self._clock()
            turn = self._next_turn(now)
            if turn - now > patience:
                return None
            self._full_at = max(turn, self._full_at) + self._interval
            return turn - now

    def pause(self, seconds: float) -> None:
        """Allow no calls for ``seconds`` from now."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _next_turn(self, now: float) -> float:
        return max(now, self._full_at - self._slack, self._paused_until)
