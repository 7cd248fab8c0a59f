"""Headers that are the same on every response, and those of errors that are made by the server."""

from __future__ import annotations

from typing import Final

from api.middleware import request_ids

NO_STORE: Final = (b"cache-control", b"no-store")

# The documentation page runs its own scripts; everything else is data.
_PAGE_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; frame-ancestors 'none'"
)
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
DATA_HEADERS: Final = (
    *_SECURITY,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
PAGE_HEADERS: Final = (*_SECURITY, (b"content-security-policy", _PAGE_POLICY))


def server_error_headers(request_id: bytes) -> list[tuple[bytes, bytes]]:
    """Return what an error has beside its content where the app is never reached."""
    return [(request_ids.HEADER, request_id), NO_STORE, *DATA_HEADERS]
