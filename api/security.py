"""Security headers of every response, and CORS."""

from __future__ import annotations

from litestar.config.cors import CORSConfig
from litestar.types import Message, Scope

from zmart_pipelines.settings import Settings

# The documentation page runs its own scripts; everything else is data.
_PAGE = b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
img-src 'self' data:; frame-ancestors 'none'"
_DATA = b"default-src 'none'; frame-ancestors 'none'"

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)


async def add_headers(message: Message, scope: Scope) -> None:
    """Add the security headers to a response; Litestar's ``before_send`` hook."""
    if message["type"] != "http.response.start":
        return
    headers = [*message["headers"], *_HEADERS]
    present = {name.lower() for name, _ in headers}
    page = scope["path"].startswith("/docs")
    headers.append((b"content-security-policy", _PAGE if page else _DATA))
    if b"cache-control" not in present:
        headers.append((b"cache-control", b"no-store"))
    message["headers"] = headers


def cors(settings: Settings) -> CORSConfig:
    """Return the CORS rules: pages of ``cors_origins`` may call the API."""
    return CORSConfig(
        allow_origins=list(settings.origins),
        allow_credentials=True,
        allow_methods=["GET", "POST", "DELETE", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        expose_headers=["Retry-After", "Location"],
        max_age=600,
    )
