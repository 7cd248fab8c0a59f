"""Tokens that a request takes, and what its response says of them.

The layer in front of the routes charges what it knows: the client and the route. Handlers charge
what only they know, such as the wallet that a body proves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.identity.caller import caller_of
from api.metrics import RATE_LIMIT_REFUSALS
from api.rate_limit.buckets import BucketName, Quotas
from api.rate_limit.limit_headers import limited
from api.rate_limit.limiter import BucketState, Charge, Limiter
from api.rate_limit.refusal_log import RefusalLog
from api.rate_limit.route_buckets import RouteBuckets

# The key of ``scope["state"]`` with the buckets that the request has taken from.
_STATE: Final = "limits"


class RequestLimits:
    """The buckets of requests in one process."""

    def __init__(self, limiter: Limiter, quotas: Quotas) -> None:
        self._limiter = limiter
        self._refusals = RefusalLog()
        self.quotas = quotas
        # Those of the app, once it is made.
        self.routes = RouteBuckets(())

    def charges(self, bucket: BucketName, client: str) -> list[Charge]:
        """Return the tokens that a request of this client takes from a bucket."""
        return [Charge(quota, client) for quota in self.quotas[bucket]]

    async def charge(self, scope: Mapping[str, Any], bucket: BucketName, client: str) -> None:
        """Take a token from a client's bucket; services with an unlimited key take none.

        Raises:
            ApiError: 429 where there is none.
        """
        if not is_unlimited(scope):
            await self.take(scope, self.charges(bucket, client))

    async def take(self, scope: Mapping[str, Any], charges: Sequence[Charge]) -> None:
        """Take all these tokens, or none where one is missing.

        Raises:
            ApiError: 429 where one is missing.
        """
        if not charges:
            return
        decision = await self._limiter.take(*charges)
        scope["state"][_STATE] = _merged(states_of(scope), decision.states)
        if not decision.is_allowed:
            quota = decision.decisive.quota
            RATE_LIMIT_REFUSALS.labels(quota.name).inc()
            self._refusals.note(quota.name, dict(charges)[quota])
            raise limited(decision)


def _merged(
    before: tuple[BucketState, ...], after: tuple[BucketState, ...]
) -> tuple[BucketState, ...]:
    """Return both; of two buckets with one quota, an address's and a wallet's, the lower."""
    if not before:
        return after
    lowest = {state.quota: state for state in before}
    for state in after:
        known = lowest.get(state.quota)
        if known is None or state.remaining <= known.remaining:
            lowest[state.quota] = state
    return tuple(lowest.values())


def is_unlimited(scope: Mapping[str, Any]) -> bool:
    """Return whether a service calls whose requests are not limited."""
    service = caller_of(scope).service
    return service is not None and service.is_unlimited


def states_of(scope: Mapping[str, Any]) -> tuple[BucketState, ...]:
    """Return the buckets that the request has taken from, as it left them."""
    found: tuple[BucketState, ...] = scope["state"].get(_STATE, ())
    return found
