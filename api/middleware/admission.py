"""Which requests are let in: limits per client.

Requests with the key of a service are not limited; an address without one has the bucket
``anonymous``. Health checks and webhooks, which have an
authentication of their own, are never refused here; requests that end in a 401 or a 404 count.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import msgspec

from api.connections.client_address import client_key
from api.error_codes import ErrorCode
from api.errors import ApiError, ReachedLimit
from api.identity.caller import bind
from api.identity.callers import Callers
from api.rate_limit.limiter import Decision, Limiter
from api.rate_limit.token_bucket import Quota

HeaderList = list[tuple[bytes, bytes]]

ANONYMOUS: Final = "anonymous"
LIMIT_SETTING: Final = "rate_limit_anonymous"
_EXEMPT: Final = frozenset({"/health", "/api/health", "/helius/webhook", "/webhooks/events"})
_EXEMPT_PREFIXES: Final = ("/health/", "/api/webhooks/")
_NO_HEADERS: Final[HeaderList] = []


class Admitted(msgspec.Struct, frozen=True):
    """The request goes on; its response carries these headers."""

    headers: HeaderList


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The request is answered with this error."""

    status: int
    code: ErrorCode
    message: str
    headers: HeaderList = []
    extra: Mapping[str, Any] = {}


_FREE: Final = Admitted(_NO_HEADERS)


class Admission:
    """The limits of one process."""

    def __init__(self, limiter: Limiter, anonymous: int, callers: Callers) -> None:
        """Limit clients without a key to so many requests a minute; 0: no limit."""
        self._limiter = limiter
        self._anonymous = Quota(ANONYMOUS, anonymous) if anonymous else None
        self._callers = callers

    async def admit(
        self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes]
    ) -> Admitted | Refusal:
        """Return whether the request may go on, and the headers that say how much is left.

        ``scope["state"]`` then has the caller.
        """
        path = scope["path"]
        if path in _EXEMPT or path.startswith(_EXEMPT_PREFIXES):
            return _FREE
        try:
            caller = await self._callers.identify(scope, headers)
        except ApiError as error:
            return await self._refuse(scope, error)
        bind(scope, caller)
        if caller.service is not None and caller.service.is_unlimited:
            return _FREE
        return await self._limit(scope)

    async def _refuse(self, scope: Mapping[str, Any], error: ApiError) -> Refusal:
        """Return the refusal of an identity that is not accepted; it counts as a request."""
        admitted = await self._limit(scope)
        return admitted if isinstance(admitted, Refusal) else refusal_of(error, admitted.headers)

    async def _limit(self, scope: Mapping[str, Any]) -> Admitted | Refusal:
        if self._anonymous is None:
            return _FREE
        decision = await self._limiter.take(self._anonymous, client_key(scope))
        if decision.is_allowed:
            return Admitted(_limit_headers(decision))
        return _limited(decision)


def refusal_of(error: ApiError, headers: HeaderList) -> Refusal:
    """Return the error as it is answered without the routes."""
    named = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    return Refusal(
        status=error.status, code=error.code, message=error.message, headers=[*headers, *named]
    )


def _limit_headers(decision: Decision) -> HeaderList:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers."""
    quota = decision.quota
    window = quota.window_ms // 1000
    return [
        (b"ratelimit-policy", b'"%s";q=%d;w=%d' % (quota.name.encode(), quota.limit, window)),
        (
            b"ratelimit",
            b'"%s";r=%d;t=%d' % (quota.name.encode(), decision.remaining, decision.full_seconds),
        ),
    ]


def _limited(decision: Decision) -> Refusal:
    quota, seconds = decision.quota, decision.retry_seconds
    return Refusal(
        status=429,
        code=ErrorCode.LIMIT_EXCEEDED,
        message=f"The limit of the bucket {quota.name} ({quota.limit} requests per"
        f" {quota.window_ms // 1000} s) is reached; retry after {seconds} s",
        headers=[*_limit_headers(decision), (b"retry-after", b"%d" % seconds)],
        extra={"limit": ReachedLimit(LIMIT_SETTING, quota.limit)},
    )
