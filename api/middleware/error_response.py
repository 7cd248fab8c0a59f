"""Error responses that are made outside the app: their headers and body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from api.error_codes import ErrorCode
from api.errors import FieldError, error_body


def error_response(
    status: int,
    message: str,
    path: str,
    *,
    code: ErrorCode | None = None,
    fields: Sequence[FieldError] = (),
    request_id: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return headers and body of an error response; the arguments are those of ``error_body``."""
    body = msgspec.json.encode(
        error_body(
            status, message, path, code=code, fields=fields, request_id=request_id, extra=extra
        )
    )
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ], body
