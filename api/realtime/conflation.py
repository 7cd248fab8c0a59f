"""States that change faster than clients want to know: only the newest is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Conflation(Generic[K, V]):
    """Sends the newest value of each key, at most one in an interval.

    A value that comes after a quiet interval is sent at once, the last one of a busy interval at
    its end. So the newest is always sent, and at most an interval late.
    """

    def __init__(
        self,
        interval: float,
        send: Callable[[K, V], None],
        call_later: Callable[[float, Callable[[K], None], K], object],
    ) -> None:
        """Keep nothing at first.

        Args:
            interval: Seconds.
            send: Receives a key and its newest value.
            call_later: Calls a function with a key after so many seconds.
        """
        self._interval = interval
        self._send = send
        self._call_later = call_later
        # The keys sent within the last interval, each with the value that waits.
        self._waiting: dict[K, V | None] = {}

    def offer(self, key: K, value: V) -> None:
        """Send ``value`` now, or at the end of the interval unless a newer one follows."""
        if key in self._waiting:
            self._waiting[key] = value
        else:
            self._send_now(key, value)

    def waiting(self, key: K) -> V | None:
        """Return the value that waits for the end of the interval; None: the newest is sent."""
        return self._waiting.get(key)

    def _send_now(self, key: K, value: V) -> None:
        self._waiting[key] = None
        self._call_later(self._interval, self._end_interval, key)
        self._send(key, value)

    def _end_interval(self, key: K) -> None:
        value = self._waiting.pop(key)
        if value is not None:
            self._send_now(key, value)
