"""Which requests are let in: what is not shed, who calls, and the limits of each client.

A client is a wallet that signed in, a service with a key, or else an address. Requests with an
unlimited key are not limited. Health checks take no tokens, and webhooks only those of their
sender; requests that end in a 401 or a 404 count.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from api.connections.client_address import client_key
from api.errors import ApiError
from api.identity import webhook_auth
from api.identity.caller import Caller, bind
from api.identity.callers import Callers
from api.load_shedding.shedding import Kind, LoadShedding
from api.rate_limit.buckets import BucketName
from api.rate_limit.limiter import Charge
from api.rate_limit.request_limits import RequestLimits, is_unlimited
from api.rate_limit.route_buckets import RouteBucket, RouteBuckets
from zmart_pipelines.settings import Settings

# The client of deliveries that carry the registered secret, whatever address they come from.
_REGISTERED: Final = "registered"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Admission:
    """What lets requests in, in one process."""

    def __init__(
        self,
        limits: RequestLimits,
        routes: RouteBuckets,
        callers: Callers,
        shedding: LoadShedding,
        settings: Settings,
    ) -> None:
        self._limits = limits
        self._routes = routes
        self._callers = callers
        self._settings = settings
        self._shedding = shedding

    async def admit(self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes]) -> None:
        """Let the request in; ``scope["state"]`` then has its caller and the buckets it took from.

        Raises:
            ApiError: 429 where a bucket is empty, 401 where the identity that the request carries
                is not accepted, 503 where that cannot be found out or load is shed.
        """
        method = scope["method"]
        route = self._routes.of(
            "GET" if method == "HEAD" else method, scope["path"], scope["query_string"]
        )
        if route.is_exempt:
            return
        if route.bucket is BucketName.WEBHOOK:
            await self._limits.take(
                scope, self._limits.charges(BucketName.WEBHOOK, self._sender(scope))
            )
            return
        self._shedding.require_room(_kind(method, route))
        try:
            caller = await self._callers.identify(scope, headers)
        except ApiError:
            await self._limits.take(
                scope, self._limits.charges(BucketName.ANONYMOUS, client_key(scope))
            )
            raise
        bind(scope, caller)
        if not is_unlimited(scope):
            await self._limits.take(scope, self._charges(scope, caller, route))

    def _charges(
        self, scope: Mapping[str, Any], caller: Caller, route: RouteBucket
    ) -> list[Charge]:
        general, client = _client(scope, caller)
        charges = self._limits.charges(general, client)
        if route.bucket is BucketName.AUTH:
            return charges + self._limits.charges(BucketName.AUTH, client_key(scope))
        if route.bucket is BucketName.PIN:
            # The handler charges the wallet that pins once it is known.
            return charges + self._limits.charges(BucketName.WRITE, client)
        if route.bucket is not None:
            return charges + self._limits.charges(route.bucket, client)
        return charges

    def _sender(self, scope: Mapping[str, Any]) -> str:
        if webhook_auth.has_valid_secret(scope["headers"], self._settings):
            return _REGISTERED
        return client_key(scope)


def _kind(method: str, route: RouteBucket) -> Kind:
    if route.bucket is BucketName.SEARCH:
        return Kind.SEARCH
    return Kind.READ if method in _READING else Kind.WRITE


def _client(scope: Mapping[str, Any], caller: Caller) -> tuple[BucketName, str]:
    """Return the general bucket of the request and whose it is."""
    if caller.wallet is not None:
        return BucketName.WALLET, caller.wallet.hex()
    if caller.service is not None:
        return BucketName.WALLET, f"key-{caller.service.key_id}"
    return BucketName.ANONYMOUS, client_key(scope)
