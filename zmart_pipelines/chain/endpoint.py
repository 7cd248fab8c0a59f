"""One endpoint with its limit: a call waits for its turn, a 429 closes the endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final, TypeVar

from zmart_pipelines.chain.jsonrpc import JsonRpc, RateLimited
from zmart_pipelines.chain.rate_limiter import RateLimiter

T = TypeVar("T")

# Whatever a Retry-After says, the endpoint is asked again after an hour.
LONGEST_HOLD: Final = 3600.0


class Endpoint:
    """Shared by threads.

    :ivar name: without secrets, unique among the endpoints of a process.
    :ivar calls: requests sent so far.
    :ivar limited: of those, how many were answered that there were too many.
    """

    def __init__(
        self, name: str, rpc: JsonRpc, limiter: RateLimiter, sleep: Callable[[float], None]
    ) -> None:
        self.name = name
        self.rpc = rpc
        self.limiter = limiter
        self.calls = 0
        self.limited = 0
        self._sleep = sleep
        self._lock = Lock()

    def ask(self, method: str, params: Sequence[Any], result: type[T], patience: float) -> T:
        """One call, sent once, when it is its turn.

        Raises what JsonRpc.call raises; RateLimited without sending when its turn is more than
        ``patience`` seconds away.
        """
        wait = self.limiter.take(patience)
        if wait is None:
            message = f"{method}: {self.rpc.label} is not to be asked yet"
            raise RateLimited(message, self.limiter.wait())
        if wait > 0:
            self._sleep(wait)
        with self._lock:
            self.calls += 1
        try:
            return self.rpc.call(method, params, result)
        except RateLimited as error:
            with self._lock:
                self.limited += 1
            if error.retry_after is not None:
                self.limiter.hold(min(error.retry_after, LONGEST_HOLD))
            raise
