"""One endpoint with its rate limit: calls wait for their turn, a Retry-After pauses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final, TypeVar

from zmart_pipelines.chain.jsonrpc import JsonRpc, RateLimited, RpcUnavailable
from zmart_pipelines.chain.rate_limiter import RateLimiter

T = TypeVar("T")

# However long a Retry-After is, the endpoint is called again after an hour.
LONGEST_PAUSE_SECONDS: Final = 3600.0


class Endpoint:
    """An endpoint that threads share.

    Attributes:
        name: holds no secret; unique among the endpoints of a process.
        calls: requests sent so far.
        rate_limited: how many of those were answered with a rate-limit error.
    """

    def __init__(
        self, name: str, rpc: JsonRpc, limiter: RateLimiter, sleep: Callable[[float], None]
    ) -> None:
        self.name = name
        self.rpc = rpc
        self.limiter = limiter
        self.calls = 0
        self.rate_limited = 0
        self._sleep = sleep
        self._lock = Lock()

    def call(self, method: str, params: Sequence[Any], result: type[T], patience: float) -> T:
        """Send one call, once, when the rate limit allows it.

        Raises:
            RateLimited: also without sending, when the next turn is more than ``patience``
                seconds away.
            RpcError: as JsonRpc.call.
            RpcUnavailable: as JsonRpc.call.
        """
        wait = self.limiter.acquire(patience)
        if wait is None:
            message = f"{method}: the rate limit of {self.rpc.label} allows no call yet"
            raise RateLimited(message, self.limiter.wait())
        if wait > 0:
            self._sleep(wait)
        with self._lock:
            self.calls += 1
        try:
            return self.rpc.call(method, params, result)
        except RpcUnavailable as error:
            if isinstance(error, RateLimited):
                with self._lock:
                    self.rate_limited += 1
            if error.retry_after is not None:
                self.limiter.pause(min(error.retry_after, LONGEST_PAUSE_SECONDS))
            raise
