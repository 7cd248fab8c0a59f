"""The cookies of browsers that signed in, and what protects requests that carry them.

A browser sends its cookies whichever page caused the request. The names' prefix ``__Host-`` binds
them to this host and to https, ``SameSite=Strict`` to pages of the same site. What changes
something must besides come from a page that may call the API (``Origin``), and repeat in a header
a value that only pages can know that could read an answer of ours.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import Final

from litestar.datastructures import Cookie

from api.error_codes import ErrorCode
from api.errors import ApiError

ACCESS: Final = "__Host-zmart-access"
REFRESH: Final = "__Host-zmart-refresh"
CSRF_HEADER: Final = "X-CSRF-Token"
_CSRF_NAME: Final = CSRF_HEADER.lower().encode()
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def read_cookie(headers: Mapping[bytes, bytes], name: str) -> str | None:
    """Return the value of a cookie; None where it is absent or there are two of that name."""
    header = headers.get(b"cookie")
    if header is None:
        return None
    parts = (part.strip().partition("=") for part in header.decode("latin-1").split(";"))
    found = [value for key, _, value in parts if key == name]
    return found[0] if len(found) == 1 else None


def token_cookie(name: str, value: str, seconds: int) -> Cookie:
    """Return a cookie that no script can read and no other site causes to be sent."""
    return Cookie(
        key=name,
        value=value,
        max_age=seconds,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def removed_cookies() -> list[Cookie]:
    """Return what makes a browser forget the tokens."""
    return [token_cookie(name, "", 0) for name in (ACCESS, REFRESH)]


def require_own_page(headers: Mapping[bytes, bytes], origins: Collection[str]) -> None:
    """Raise ApiError 403 unless a page of one of these origins sent the request.

    Browsers state the origin with everything but a simple read.
    """
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin not in origins:
        raise ApiError(
            403,
            "Origin: cookies count only in requests of pages that may call the API",
            code=ErrorCode.CSRF_TOKEN_INVALID,
        )


def require_csrf_token(headers: Mapping[bytes, bytes], expected: str) -> None:
    """Raise ApiError 403 unless the header repeats the session's value."""
    sent = headers.get(_CSRF_NAME, b"")
    if not hmac.compare_digest(sent, expected.encode()):
        raise ApiError(
            403,
            f"{CSRF_HEADER} must repeat the session's csrf_token, as the sign-in or"
            " GET /api/users/me returned it",
            code=ErrorCode.CSRF_TOKEN_INVALID,
        )
