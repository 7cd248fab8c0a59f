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
from api.identity.service_keys import ServiceKeys
from api.rate_limit.limiter import Decision, Limiter
from api.rate_limit.token_bucket import Quota
from zmart_pipelines.proofs.service_keys import PREFIX

HeaderList = list[tuple[bytes, bytes]]

ANONYMOUS: Final = "anonymous"
LIMIT_SETTING: Final = "rate_limit_anonymous"
_EXEMPT: Final = frozenset({"/health", "/api/health", "/helius/webhook", "/webhooks/events"})
_EXEMPT_PREFIXES: Final = ("/health/", "/api/webhooks/")
# The key of ``scope["state"]`` with the Service that sent the request, if any.
STATE_SERVICE: Final = "service"
_KEY_PREFIX: Final = PREFIX.encode()
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

    def __init__(self, limiter: Limiter, anonymous: int, keys: ServiceKeys) -> None:
        """Limit clients without a key to so many requests a minute; 0: no limit."""
        self._limiter = limiter
        self._anonymous = Quota(ANONYMOUS, anonymous) if anonymous else None
        self._keys = keys

    async def admit(
        self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes]
    ) -> Admitted | Refusal:
        """Return whether the request may go on, and the headers that say how much is left.

        ``scope["state"]`` then has the service whose key the request carries.
        """
        path = scope["path"]
        if path in _EXEMPT or path.startswith(_EXEMPT_PREFIXES):
            return _FREE
        key = _offered_key(headers)
        service = None
        if key is not None:
            try:
                service = await self._keys.find(key)
            except ApiError as error:
                return _unavailable(error)
            scope["state"][STATE_SERVICE] = service
            if service is not None and service.is_unlimited:
                return _FREE
        admitted = await self._limit(scope)
        if isinstance(admitted, Refusal) or key is None or service is not None:
            return admitted
        return Refusal(
            status=401,
            code=ErrorCode.INVALID_API_KEY,
            message="The service key is unknown or revoked; send a valid one, or none",
            headers=[*admitted.headers, (b"www-authenticate", b"Bearer")],
        )

    async def _limit(self, scope: Mapping[str, Any]) -> Admitted | Refusal:
        if self._anonymous is None:
            return _FREE
        decision = await self._limiter.take(self._anonymous, client_key(scope))
        if decision.is_allowed:
            return Admitted(_limit_headers(decision))
        return _limited(decision)


def _offered_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the service key of the request; other schemes of Authorization are not ours."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key.strip()
    authorization = headers.get(b"authorization")
    if authorization is None or authorization[:7].lower() != b"bearer ":
        return None
    token = authorization[7:].strip()
    return token if token.startswith(_KEY_PREFIX) else None


def _unavailable(error: ApiError) -> Refusal:
    retry = error.headers.get("Retry-After", "1").encode()
    return Refusal(
        status=error.status,
        code=error.code,
        message=error.message,
        headers=[(b"retry-after", retry)],
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
