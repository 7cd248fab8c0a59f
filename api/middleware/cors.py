"""Cross-origin requests: the headers of responses, and preflight requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

HeaderList = list[tuple[bytes, bytes]]

METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
REQUEST_HEADERS: Final = (
    *("Accept", "Accept-Language", "Authorization", "Content-Language", "Content-Type"),
    *(
        "Idempotency-Key",
        "If-None-Match",
        "traceparent",
        "tracestate",
        "X-Api-Key",
        "X-CSRF-Token",
        "X-Request-Id",
    ),
)
EXPOSED_HEADERS: Final = (
    *("ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After"),
    *("X-Request-Id", "traceparent", "Zmart-As-Of-Slot", "Zmart-Lag-Slots"),
)
_MAX_AGE_SECONDS: Final = 600
_ACCEPTED: Final = frozenset(name.lower().encode() for name in REQUEST_HEADERS)


class PreflightRefused(Exception):
    """The browser may not send the request it asks for; the message names what is not allowed."""


class Cors:
    """The rules for the pages of some origins."""

    def __init__(self, origins: Collection[str]) -> None:
        exposed = ", ".join(EXPOSED_HEADERS).encode()
        self._responses: dict[bytes, HeaderList] = {
            origin.encode(): [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", exposed),
            ]
            for origin in origins
        }

    def response_headers(self, origin: bytes) -> HeaderList:
        """Return the headers that let pages of this origin read a response; none if refused."""
        return self._responses.get(origin, [])

    def preflight_headers(self, headers: Mapping[bytes, bytes]) -> HeaderList:
        """Return what the 204 that allows a request has besides ``response_headers``.

        Raises:
            PreflightRefused: It is not allowed.
        """
        if headers[b"origin"] not in self._responses:
            raise PreflightRefused("Origin: pages of this origin may not call the API")
        method = headers[b"access-control-request-method"]
        if method not in METHODS:
            raise PreflightRefused(
                f"Access-Control-Request-Method: must be one of {b', '.join(METHODS).decode()}"
            )
        asked = headers.get(b"access-control-request-headers", b"")
        names = {name.strip().lower() for name in asked.split(b",") if name.strip()}
        if not names <= _ACCEPTED:
            raise PreflightRefused(
                f"Access-Control-Request-Headers: may name {', '.join(REQUEST_HEADERS)}"
            )
        return [
            (b"access-control-allow-methods", b", ".join(METHODS)),
            (b"access-control-allow-headers", ", ".join(REQUEST_HEADERS).encode()),
            (b"access-control-max-age", b"%d" % _MAX_AGE_SECONDS),
        ]


def is_preflight(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a browser asks for permission."""
    return (
        method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers
    )
