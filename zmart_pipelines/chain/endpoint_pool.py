"""A pool of endpoints of one cluster: the preferred one first, the others when it fails.

A read goes to the first endpoint that the guard and the rate limit allow, then to the next.
``zmart_pipelines.chain.faults`` decides whose fault an error is: the request's and the program's
end the call, all others pass it on to the next endpoint, and those of the node or the provider
count in the endpoint's breaker. When no endpoint has a result, the round is repeated after a
growing, jittered pause. A Retry-After pauses its endpoint for that time. Nodes differ in the slot
they have reached: each response carries its own slot, and a read that must not see older state
passes minContextSlot, so that a lagging node refuses and the next one is called.

When the guard skips every endpoint, each is still tried once, at most once a second, so that
an outage of all endpoints ends with the first one that recovers.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from zmart_pipelines.chain.endpoint import Endpoint
from zmart_pipelines.chain.endpoint_guard import EndpointGuard, Unguarded
from zmart_pipelines.chain.jsonrpc import JsonRpc, RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.chain.rate_limiter import RateLimiter

T = TypeVar("T")

ATTEMPTS: Final = 4
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
# A shorter wait for an endpoint's turn (seconds) does not divert a call to another endpoint.
_TOLERATED_WAIT: Final = 1.0
# Seconds between two rounds over endpoints that the guard skips.
LAST_RESORT_PAUSE: Final = 1.0
# For how many transactions the number of sends is remembered.
_REMEMBERED_SENDS: Final = 1000

Failure = RpcError | RpcUnavailable
# Raises RpcUnavailable for a result that cannot answer the call.
Check = Callable[[T], None]


@dataclass
class _Round:
    """The outcome of calling every admitted endpoint once."""

    responded: bool = False
    forced: bool = False
    failures: list[Failure] = field(default_factory=list)


class EndpointPool:
    """A pool of endpoints, safe to use from several threads.

    Close it or use it as a context manager.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        timeout: float,
        *,
        attempts: int = ATTEMPTS,
        patience: float | None = None,
        calls_per_second: float | None = None,
        burst: int = 1,
        guard: EndpointGuard | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the pool; the first of ``urls`` is preferred.

        Args:
            timeout: seconds for each call.
            attempts: rounds over the endpoints, for calls that only read.
            patience: seconds that rate limits may delay one read; default: the longest pause,
                or none for a single attempt.
            calls_per_second: limit of each endpoint, ``burst`` calls at once.
            guard: decides which endpoints are skipped; default: none is.
        """
        addresses = [urls] if isinstance(urls, str) else list(urls)
        if not addresses or attempts < 1:
            raise ValueError("at least one RPC URL and one attempt are required")
        if patience is None:
            patience = LONGEST_PAUSE if attempts > 1 else 0.0
        self._endpoints: list[Endpoint] = []
        for address in addresses:
            limiter = RateLimiter(calls_per_second, burst, clock=clock)
            rpc = JsonRpc(address, timeout)
            same = sum(endpoint.rpc.name == rpc.name for endpoint in self._endpoints)
            name = f"{rpc.name}#{same + 1}" if same else rpc.name
            self._endpoints.append(Endpoint(name, rpc, limiter, sleep))
        self._attempts = attempts
        self._patience = patience
        self._guard: EndpointGuard = guard or Unguarded()
        self._sleep = sleep
        self._clock = clock
        self._lock = Lock()
        self._forced_at: float | None = None
        self._is_pinned = False
        self._sends: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        for endpoint in self._endpoints:
            endpoint.rpc.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.endpoints)})"

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Names of the endpoints, preferred first: host and port, numbered when equal."""
        return tuple(endpoint.name for endpoint in self._endpoints)

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return sum(endpoint.calls for endpoint in self._endpoints)

    @property
    def rate_limited(self) -> int:
        """How many of those were answered with a rate-limit error."""
        return sum(endpoint.rate_limited for endpoint in self._endpoints)

    def pinned(self) -> Self:
        """Return a pool that uses only the first endpoint to respond, from then on.

        For reads that must come from one node's history: several pages, or a page and the
        start of the history. It shares this pool's connections; do not close it.
        """
        pinned = copy(self)
        pinned._is_pinned = True
        return pinned

    def pinned_in_turn(self) -> Iterator[Self]:
        """Yield pinned pools, each without the endpoints that the ones before were pinned to.

        For a read that must come from one node's history, and that is repeated at another node
        where a node contradicts itself or fails half-way. There is at least one.
        """
        remaining = self._endpoints
        while remaining:
            pinned = self.pinned()
            pinned._endpoints = remaining
            yield pinned
            used = pinned._endpoints
            if used is remaining:
                return
            remaining = [endpoint for endpoint in remaining if endpoint not in used]

    def read(
        self, method: str, params: Sequence[Any], result: type[T], check: Check[T] | None = None
    ) -> T:
        """Return the result of a read-only call by the first endpoint that responds.

        Args:
            method: of the call.
            params: of the call.
            result: type of the result.
            check: raises RpcUnavailable for a result that cannot answer the call.

        Raises:
            RpcError: the call is refused wherever it goes, or every endpoint failed in it.
            RpcUnavailable: no endpoint responded in the last round.
            RateLimited: rate limits delayed the call for longer than ``patience``.
        """
        return next(self.responses(method, params, result, check))

    def responses(
        self, method: str, params: Sequence[Any], result: type[T], check: Check[T] | None = None
    ) -> Iterator[T]:
        """Yield the endpoints' own results of a read-only call, at least one.

        Each endpoint is called when its result is requested. Raises what :meth:`read` raises.
        """
        pause, waited, rounds = FIRST_PAUSE, 0.0, 0
        while True:
            attempted = _Round()
            yield from self._round(attempted, method, params, result, check)
            if attempted.responded:
                return
            failure = self._combined(method, attempted.failures)
            wait = random.uniform(pause / 2, pause)
            if isinstance(failure, RateLimited):
                wait = max(wait, failure.retry_after or 0.0)
                waited += wait
                is_last = waited > self._patience
            else:
                rounds += 1
                is_last = rounds >= self._attempts or not failure.fault.may_pass
            if is_last or attempted.forced or not attempted.failures:
                raise failure
            self._sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _round(
        self,
        attempted: _Round,
        method: str,
        params: Sequence[Any],
        result: type[T],
        check: Check[T] | None,
    ) -> Iterator[T]:
        """Call each admitted endpoint once and note in ``attempted`` what happened."""
        for endpoint, ticket, forced in self._admitted(self._endpoints):
            attempted.forced = forced
            try:
                response = self._call(endpoint, ticket, method, params, result, check)
            except (RpcError, RpcUnavailable) as error:
                if error.fault.ends_call and not attempted.responded:
                    raise
                attempted.failures.append(error)
            else:
                attempted.responded = True
                yield response

    def call(self, method: str, params: Sequence[Any], result: type[T]) -> T:
        """Send one call, once, to the first endpoint that is admitted."""
        for endpoint, ticket, _ in self._admitted(self._endpoints):
            return self._call(endpoint, ticket, method, params, result)
        raise self._combined(method, [])

    def submit(self, method: str, params: Sequence[Any], result: type[T], signature: bytes) -> T:
        """Submit a transaction, which may be sent any number of times, to one endpoint.

        The first submission goes to the preferred endpoint; each further one for the same
        ``signature`` starts with the next endpoint, so that a node which accepts and forgets
        transactions does not delay it indefinitely. There is no retry here.

        Raises:
            RpcError: the only endpoint that can have received it refused it.
            RpcUnavailable: some endpoint did not respond; the text names every failure.
        """
        with self._lock:
            before = self._sends.pop(signature, 0)
            self._sends[signature] = before + 1
            if len(self._sends) > _REMEMBERED_SENDS:
                self._sends.popitem(last=False)
        first = before % len(self._endpoints)
        failures: list[Failure] = []
        rotated = [*self._endpoints[first:], *self._endpoints[:first]]
        for endpoint, ticket, _ in self._admitted(rotated):
            try:
                return self._call(endpoint, ticket, method, params, result)
            except (RpcError, RpcUnavailable) as error:
                failures.append(error)
                if error.fault.ends_call:
                    break
        raise self._combined(method, failures)

    def submit_to_all(
        self, method: str, params: Sequence[Any], result: type[T]
    ) -> list[T | Failure]:
        """Submit a transaction, which may be sent any number of times, to every endpoint.

        Returns:
            The result or the failure of each endpoint that was called; none where the guard
            admits none. There is no retry here.
        """
        outcomes: list[T | Failure] = []
        for endpoint, ticket, _ in self._admitted(self._endpoints):
            try:
                outcomes.append(self._call(endpoint, ticket, method, params, result))
            except (RpcError, RpcUnavailable) as error:
                outcomes.append(error)
        return outcomes

    def _admitted(self, endpoints: Sequence[Endpoint]) -> Iterator[tuple[Endpoint, int, bool]]:
        """Yield the endpoints to call, each with its ticket and whether it was forced.

        Endpoints are forced when the guard admits none of them.
        """
        skipped = []
        for endpoint in sorted(endpoints, key=_delay):
            ticket = self._guard.enter(endpoint.name)
            if ticket is None:
                skipped.append(endpoint)
            else:
                yield endpoint, ticket, False
        if len(skipped) < len(endpoints):
            return
        with self._lock:
            now = self._clock()
            if self._forced_at is not None and now - self._forced_at < LAST_RESORT_PAUSE:
                return
            self._forced_at = now
        for endpoint in skipped:
            ticket = self._guard.enter(endpoint.name, force=True)
            if ticket is not None:
                yield endpoint, ticket, True

    def _call(
        self,
        endpoint: Endpoint,
        ticket: int,
        method: str,
        params: Sequence[Any],
        result: type[T],
        check: Check[T] | None = None,
    ) -> T:
        """Call one endpoint and report the outcome to the guard."""
        guard, name = self._guard, endpoint.name
        try:
            response = endpoint.call(method, params, result, self._patience)
            if check is not None:
                check(response)
        except (RpcError, RpcUnavailable) as error:
            if error.fault.opens_breaker:
                guard.failed(name, ticket, str(error))
            elif error.fault.ends_call:
                guard.succeeded(name, ticket)
            else:
                guard.returned(name, ticket)
            raise
        guard.succeeded(name, ticket)
        if self._is_pinned:
            self._endpoints = [endpoint]
        return response

    def _combined(self, method: str, failures: Sequence[Failure]) -> Failure:
        """Return one error for the failures of several endpoints."""
        if not failures:
            names = ", ".join(self.endpoints)
            return RpcUnavailable(f"{method}: circuit open after repeated failures: {names}")
        if len(failures) == 1:
            return failures[0]
        texts = "; ".join(str(failure).removeprefix(f"{method}: ") for failure in failures)
        limits = [failure for failure in failures if isinstance(failure, RateLimited)]
        if limits:
            times = [limit.retry_after for limit in limits]
            known = [time for time in times if time is not None]
            soonest = min(known) if len(known) == len(times) else None
            return RateLimited(f"{method}: {texts}", soonest)
        refusals = [failure for failure in failures if isinstance(failure, RpcError)]
        if len(refusals) == len(failures):
            # One endpoint may not offer what another could not do now: that one may recover.
            return next((error for error in refusals if error.fault.may_pass), refusals[-1])
        return RpcUnavailable(f"{method}: {texts}")


def _delay(endpoint: Endpoint) -> float:
    """Return the sort key for the order of endpoints: seconds of wait, small ones ignored."""
    wait = endpoint.limiter.wait()
    return wait if wait > _TOLERATED_WAIT else 0.0
