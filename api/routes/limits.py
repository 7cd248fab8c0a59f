"""The limits of requests as data, so that clients need not know them by heart."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import get

from api import caching
from api.dependencies import READ_ERRORS, RequestLimitsDep
from api.rate_limit.buckets import BucketName

Counted = Literal["address", "wallet", "client", "sender"]

# Whose requests share a bucket.
_COUNTED: dict[BucketName, tuple[Counted, ...]] = {
    BucketName.ANONYMOUS: ("address",),
    BucketName.WALLET: ("client",),
    BucketName.WRITE: ("client",),
    BucketName.SEARCH: ("client",),
    BucketName.AUTH: ("address", "wallet"),
    BucketName.PIN: ("wallet",),
    BucketName.WEBHOOK: ("sender",),
}


class LimitPolicy(msgspec.Struct, frozen=True):
    """A quota: `limit` requests, all of which may come at once, in `window_seconds`.

    Used ones come back evenly over the window. `name` is that in `RateLimit-Policy`.
    """

    name: str
    limit: int
    window_seconds: int


class LimitBucket(msgspec.Struct, frozen=True):
    """What is counted together; without `policies` it is not limited.

    There is one `per` address (IPv6: /64 network), wallet, client (a wallet that signed in, a
    service's key, or else an address) or sender of webhooks; a request counts for each that is
    named.
    """

    bucket: BucketName
    per: list[Counted]
    policies: list[LimitPolicy]


class LimitedRoute(msgspec.Struct, frozen=True):
    """A route whose requests take from a bucket besides the client's general one.

    With `parameter`, only those whose query has it.
    """

    method: str
    path: str
    bucket: BucketName
    parameter: str | None


class LimitList(msgspec.Struct, frozen=True):
    """All buckets, and the routes that take from the smaller ones.

    Every other request takes from `anonymous`, or from `wallet` where a wallet or a service calls.
    """

    buckets: list[LimitBucket]
    routes: list[LimitedRoute]


@get(
    "/api/limits",
    cache_control=caching.A_SECOND,
    tags=["limits"],
    responses=READ_ERRORS,
    sync_to_thread=False,
)
def list_limits(request_limits: RequestLimitsDep) -> LimitList:
    """List the buckets of requests with their quotas, and the routes that use them."""
    return LimitList(
        buckets=[
            LimitBucket(
                bucket,
                list(_COUNTED[bucket]),
                [
                    LimitPolicy(quota.name, quota.limit, quota.window_ms // 1000)
                    for quota in request_limits.quotas[bucket]
                ],
            )
            for bucket in BucketName
        ],
        routes=[
            LimitedRoute(route.method, route.path, route.bucket, route.parameter)
            for route in sorted(request_limits.routes.listed)
        ],
    )


HANDLERS = [list_limits]
