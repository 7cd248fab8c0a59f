"""Which requests are let in: limits per client.

An address without a key has the bucket ``anonymous``. Health checks and webhooks, which have an
authentication of their own, are never refused here; requests that end in a 401 or a 404 count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from api.client_address import UNKNOWN, address_key
from api.error_codes import ErrorCode
from api.errors import ReachedLimit
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

    def __init__(self, limiter: Limiter, anonymous: int) -> None:
        """Limit clients without a key to so many requests a minute; 0: no limit."""
        self._limiter = limiter
        self._anonymous = Quota(ANONYMOUS, anonymous) if anonymous else None

    async def admit(
        self, path: str, client: tuple[str, int] | None, headers: Mapping[bytes, bytes]
    ) -> Admitted | Refusal:
        """Return whether the request may go on, and the headers that say how much is left."""
        quota = self._anonymous
        if quota is None or path in _EXEMPT or path.startswith(_EXEMPT_PREFIXES):
            return _FREE
        address = address_key(client[0]) if client else UNKNOWN
        decision = await self._limiter.take(quota, address)
        if decision.is_allowed:
            return Admitted(_limit_headers(decision))
        return _limited(decision)


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
