"""An RPC client for long reads: so many calls a second, and patience when the endpoint asks.

The budget belongs to the client and is shared by the threads that use it, so that a backfill
leaves the rest of the endpoint's limit to the polls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final, TypeVar

from zmart_pipelines.chain.rpc import RateLimited, RpcClient

T = TypeVar("T")

# Pauses in seconds after a 429 that names none; they double from the first to the last.
FIRST_HOLD: Final = 1.0
LAST_HOLD: Final = 60.0
# How long one call is held up by 429 before the reader gives up; what it read is kept.
PATIENCE: Final = 900.0


class BudgetedRpc(RpcClient):
    """A node that is asked at most ``calls_per_second`` times a second, repeats included.

    A 429 holds up all threads for as long as it says.

    :ivar calls: requests sent so far.
    :ivar limited: of those, how many were answered 429.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        *,
        calls_per_second: float,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``timeout`` in seconds for each try, ``patience`` in seconds for each read."""
        if calls_per_second <= 0:
            raise ValueError("the budget must be more than 0 calls a second")
        super().__init__(url, timeout, sleep=sleep)
        self.calls = 0
        self.limited = 0
        self._pause = 1 / calls_per_second
        self._patience = patience
        self._clock = clock
        self._wait = sleep
        self._lock = Lock()
        self._free_at = clock()

    def call(self, method: str, params: Sequence[Any], result: type[T]) -> T:
        """One call, sent once, when it is its turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._free_at)
            self._free_at = turn + self._pause
            self.calls += 1
        if turn > now:
            self._wait(turn - now)
        try:
            return super().call(method, params, result)
        except RateLimited as error:
            with self._lock:
                self.limited += 1
                if error.retry_after is not None:
                    until = self._clock() + min(error.retry_after, self._patience)
                    self._free_at = max(self._free_at, until)
            raise

    def read(self, method: str, params: Sequence[Any], result: type[T]) -> T:
        """A call that changes nothing, repeated; 429 is waited for as long as patience lasts."""
        began = self._clock()
        hold = FIRST_HOLD
        while True:
            try:
                return super().read(method, params, result)
            except RateLimited as error:
                if self._clock() - began + (error.retry_after or 0) > self._patience:
                    raise
            self._wait(hold)
            hold = min(2 * hold, LAST_HOLD)
