"""Several endpoints of one cluster as one: preferred first, the others when it fails.

A read goes to the first endpoint that its guard and its limit allow, then to the next; when
none answers the round is repeated after a growing, jittered pause. A 429, or a 503 that
names a time, closes the endpoint for that time and is never a failure. Nodes differ in how
far they are: each answer stands alone, with its own slot, and a read that must not look into
the past gives minContextSlot, which makes a node that lags refuse and the next one asked.

When every endpoint is left alone by the guard, each is tried once all the same, at most once
a second: an outage of all ends with the first of them that is back.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from zmart_pipelines.chain.endpoint import Endpoint
from zmart_pipelines.chain.endpoint_guard import EndpointGuard, Unguarded
from zmart_pipelines.chain.jsonrpc import (
    BLOCKHASH_NOT_FOUND,
    JsonRpc,
    RateLimited,
    RpcError,
    RpcUnavailable,
)
from zmart_pipelines.chain.rate_limiter import RateLimiter

T = TypeVar("T")

ATTEMPTS: Final = 4
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
# Shorter waits for an endpoint's turn do not send a call to another one.
_SPARE: Final = 1.0
# Between two rounds over endpoints that are all left alone.
LAST_RESORT_PAUSE: Final = 1.0
# Of how many transactions is remembered how often they were sent.
_REMEMBERED: Final = 1000

Failure = RpcError | RpcUnavailable


class EndpointPool:
    """The endpoints. Safe to use from several threads; close it or use it as a context."""

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
        """The first of ``urls`` is preferred.

        :param timeout: seconds for each call.
        :param attempts: rounds over the endpoints, for calls that only read.
        :param patience: seconds that limits may hold up one read; default: the longest pause,
            none for a single attempt.
        :param calls_per_second: limit of each endpoint, ``burst`` of them at once.
        :param guard: which endpoints are left alone; default: none.
        """
        addresses = [urls] if isinstance(urls, str) else list(urls)
        if not addresses or attempts < 1:
            raise ValueError("at least one RPC URL and one attempt")
        if patience is None:
            patience = LONGEST_PAUSE if attempts > 1 else 0.0
        self._endpoints: list[Endpoint] = []
        for address in addresses:
            limiter = RateLimiter(calls_per_second, burst, clock=clock)
            rpc = JsonRpc(address, timeout)
            alike = sum(one.rpc.name == rpc.name for one in self._endpoints)
            name = f"{rpc.name}#{alike + 1}" if alike else rpc.name
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
        """The endpoints' names, the preferred first: host and port, numbered where alike."""
        return tuple(endpoint.name for endpoint in self._endpoints)

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return sum(endpoint.calls for endpoint in self._endpoints)

    @property
    def limited(self) -> int:
        """Of those, how many were answered that there were too many."""
        return sum(endpoint.limited for endpoint in self._endpoints)

    def pinned(self) -> Self:
        """The same endpoints until one has answered, from then on that one alone.

        For what must be of one node's history: several pages, or a page and where the history
        begins. It shares our connections; do not close it.
        """
        pinned = copy(self)
        pinned._is_pinned = True
        return pinned

    def read(self, method: str, params: Sequence[Any], result: type[T]) -> T:
        """A call that changes nothing, by the first endpoint that answers.

        ``result`` is the type of the answer's result. Raises RpcError, RpcUnavailable,
        RateLimited after the last try.
        """
        return next(self.answers(method, params, result))

    def answers(self, method: str, params: Sequence[Any], result: type[T]) -> Iterator[T]:
        """The endpoints' own answers to a call that changes nothing, each asked when its answer
        is wanted; at least one, or what :meth:`read` raises.
        """
        pause, waited, rounds = FIRST_PAUSE, 0.0, 0
        while True:
            answered = forced = False
            failures: list[Failure] = []
            for endpoint, ticket, is_forced in self._open(self._endpoints):
                forced = is_forced
                try:
                    answer = self._ask(endpoint, ticket, method, params, result)
                except RpcError as error:
                    if not (error.transient or answered):
                        raise
                    failures.append(error)
                except RpcUnavailable as error:
                    failures.append(error)
                else:
                    answered = True
                    yield answer
            if answered:
                return
            failure = self._told(method, failures)
            wait = random.uniform(pause / 2, pause)
            if isinstance(failure, RateLimited):
                wait = max(wait, failure.retry_after or 0.0)
                waited += wait
                is_last = waited > self._patience
            else:
                rounds += 1
                is_last = rounds >= self._attempts
            if is_last or forced or not failures:
                raise failure
            self._sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def call(self, method: str, params: Sequence[Any], result: type[T]) -> T:
        """One call, sent once, to the first endpoint that is not left alone."""
        for endpoint, ticket, _ in self._open(self._endpoints):
            return self._ask(endpoint, ticket, method, params, result)
        raise self._told(method, [])

    def submit(self, method: str, params: Sequence[Any], result: type[T], signature: bytes) -> T:
        """Hand over what may be handed over any number of times, to one endpoint that takes it.

        The preferred one first; each repetition for the same ``signature`` begins with the
        next, so that a node which accepts and forgets does not hold it up for ever. Not
        repeated here. An RpcError is the word of the only endpoint that can have it; where
        another one left no answer, RpcUnavailable says both.
        """
        with self._lock:
            before = self._sends.pop(signature, 0)
            self._sends[signature] = before + 1
            if len(self._sends) > _REMEMBERED:
                self._sends.popitem(last=False)
        first = before % len(self._endpoints)
        failures: list[Failure] = []
        for endpoint, ticket, _ in self._open([*self._endpoints[first:], *self._endpoints[:first]]):
            try:
                return self._ask(endpoint, ticket, method, params, result)
            except RpcError as error:
                failures.append(error)
                if not (error.transient or _is_behind(error)):
                    break
            except RpcUnavailable as error:
                failures.append(error)
        raise self._told(method, failures)

    def _open(self, endpoints: Sequence[Endpoint]) -> Iterator[tuple[Endpoint, int, bool]]:
        """The endpoints to be tried, with tickets; the last tells whether none was left."""
        resting = []
        for endpoint in sorted(endpoints, key=_delay):
            ticket = self._guard.enter(endpoint.name)
            if ticket is None:
                resting.append(endpoint)
            else:
                yield endpoint, ticket, False
        if len(resting) < len(endpoints):
            return
        with self._lock:
            now = self._clock()
            if self._forced_at is not None and now - self._forced_at < LAST_RESORT_PAUSE:
                return
            self._forced_at = now
        for endpoint in resting:
            ticket = self._guard.enter(endpoint.name, force=True)
            if ticket is not None:
                yield endpoint, ticket, True

    def _ask(
        self, endpoint: Endpoint, ticket: int, method: str, params: Sequence[Any], result: type[T]
    ) -> T:
        """One call, and what it says of the endpoint."""
        guard, name = self._guard, endpoint.name
        try:
            answer = endpoint.ask(method, params, result, self._patience)
        except RateLimited:
            guard.returned(name, ticket)
            raise
        except RpcUnavailable as error:
            guard.failed(name, ticket, str(error))
            raise
        except RpcError as error:
            if error.unhealthy:
                guard.failed(name, ticket, str(error))
            else:
                guard.succeeded(name, ticket)
            raise
        guard.succeeded(name, ticket)
        if self._is_pinned:
            self._endpoints = [endpoint]
        return answer

    def _told(self, method: str, failures: Sequence[Failure]) -> Failure:
        """One error for what several endpoints said."""
        if not failures:
            names = ", ".join(self.endpoints)
            return RpcUnavailable(f"{method}: left alone after many failures: {names}")
        if len(failures) == 1:
            return failures[0]
        texts = "; ".join(str(failure).removeprefix(f"{method}: ") for failure in failures)
        limits = [failure for failure in failures if isinstance(failure, RateLimited)]
        if limits:
            times = [limit.retry_after for limit in limits]
            named = [time for time in times if time is not None]
            soonest = min(named) if len(named) == len(times) else None
            return RateLimited(f"{method}: {texts}", soonest)
        last = failures[-1]
        if isinstance(last, RpcError) and all(isinstance(one, RpcError) for one in failures):
            return last
        return RpcUnavailable(f"{method}: {texts}")


def _delay(endpoint: Endpoint) -> float:
    """For the order in which endpoints are tried."""
    wait = endpoint.limiter.wait()
    return wait if wait > _SPARE else 0.0


def _is_behind(error: RpcError) -> bool:
    """Whether a preflight failed because the node does not know the blockhash yet."""
    data = error.data
    return isinstance(data, dict) and data.get("err") == BLOCKHASH_NOT_FOUND
