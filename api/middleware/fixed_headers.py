"""Headers that are the same on every response, and those of errors that are made by the server."""

from __future__ import annotations

from typing import Final, NamedTuple

from api.middleware import request_ids
from api.middleware.head_lines import head_lines

NO_STORE: Final = (b"cache-control", b"no-store")

# The documentation page runs its own scripts; everything else is data.
_PAGE_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; frame-ancestors 'none'"
)
# The dashboard has no inline code and no inline styles. It asks this origin, and the RPC endpoint
# with which it recounts tallies.
_DASHBOARD_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src {sources}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)


class FixedHeaders(NamedTuple):
    """Headers, and their lines in the head of a response."""

    headers: tuple[tuple[bytes, bytes], ...]
    lines: bytes


def _with_policy(policy: bytes) -> FixedHeaders:
    headers = (*_SECURITY, (b"content-security-policy", policy))
    return FixedHeaders(headers, head_lines(headers))


OF_DATA: Final = _with_policy(b"default-src 'none'; frame-ancestors 'none'")
OF_PAGES: Final = _with_policy(_PAGE_POLICY)


class HeadersByPath:
    """The fixed headers of the responses of each path."""

    def __init__(self, rpc_url: str | None) -> None:
        """Make the headers.

        Args:
            rpc_url: RPC endpoint that the dashboard may read besides this origin.
        """
        sources = "'self'" if rpc_url is None else f"'self' {rpc_url}"
        self._of_dashboard = _with_policy(_DASHBOARD_POLICY.format(sources=sources).encode())

    def of(self, path: str) -> FixedHeaders:
        """Return the headers of a path's responses."""
        if path.startswith("/docs"):
            return OF_PAGES
        is_dashboard = path == "/app" or path.startswith("/app/")
        return self._of_dashboard if is_dashboard else OF_DATA


def server_error_headers(request_id: bytes) -> list[tuple[bytes, bytes]]:
    """Return what an error has beside its content where the app is never reached."""
    return [(request_ids.HEADER, request_id), NO_STORE, *OF_DATA.headers]
