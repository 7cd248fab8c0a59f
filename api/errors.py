"""The body of every error response, and the exception that stands for one.

The members of RFC 9457 stand beside those that older clients read: ``error`` and ``message``. The
texts never contain SQL, a stack trace, an internal address or a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import msgspec

from api.ballot_schema import Ballot
from api.error_codes import ErrorCode, code_of_status
from zmart_pipelines.client_schemas.formats import iso8601

RETRY_SECONDS = 2


class FieldError(msgspec.Struct, frozen=True):
    """An invalid field of the request: what is expected of it."""

    field: str
    message: str


class ReachedLimit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit that was reached: the setting's name and its value.

    `bucket`, as `/api/limits` names it, and its `window_seconds` are given where requests are
    counted. A request is accepted again after `retry_after_seconds`.
    """

    name: str
    value: int
    bucket: str | msgspec.UnsetType = msgspec.UNSET
    window_seconds: int | msgspec.UnsetType = msgspec.UNSET
    retry_after_seconds: int | msgspec.UnsetType = msgspec.UNSET


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every response with a status of 400 or above.

    `code` is for programs, `message` for people; `error` is the status's phrase. `type`, `title`,
    `detail` and `instance` are those of RFC 9457: `detail` repeats `message`, `instance` repeats
    `path`. `program_error` is the name of the program's error, `program_error_number` its number if
    it has one, `remedy` what helps against it; `limit` is the limit that was reached,
    `violated-policies` are the policies in `RateLimit-Policy` that it reached; `stored` is the
    ballot that the wallet has already cast.
    """

    error: str
    code: ErrorCode
    message: str
    status: int
    timestamp: str
    path: str
    type: str
    title: str
    detail: str
    instance: str
    details: tuple[FieldError, ...] | msgspec.UnsetType = msgspec.UNSET
    request_id: str | msgspec.UnsetType = msgspec.UNSET
    limit: ReachedLimit | msgspec.UnsetType = msgspec.UNSET
    violated_policies: list[str] | msgspec.UnsetType = msgspec.field(
        default=msgspec.UNSET, name="violated-policies"
    )
    stored: Ballot | msgspec.UnsetType = msgspec.UNSET
    program_error: str | msgspec.UnsetType = msgspec.UNSET
    program_error_number: int | msgspec.UnsetType = msgspec.UNSET
    remedy: str | msgspec.UnsetType = msgspec.UNSET


def error_body(
    status: int,
    message: str,
    path: str,
    *,
    code: ErrorCode | None = None,
    fields: Sequence[FieldError] = (),
    request_id: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> ErrorBody:
    """Return the body of an error response.

    Args:
        status: Of the response.
        message: For people.
        path: Of the request.
        code: The status's own where it is not given.
        fields: The invalid fields.
        request_id: Of the request, if it has one.
        extra: Further members of ``ErrorBody``.
    """
    code = code or code_of_status(status)
    return ErrorBody(
        error=HTTPStatus(status).phrase,
        code=code,
        message=message,
        status=status,
        timestamp=iso8601(datetime.now(UTC)),
        path=path,
        type=code.type_uri,
        title=code.meaning,
        detail=message,
        instance=path,
        details=tuple(fields) or msgspec.UNSET,
        request_id=request_id or msgspec.UNSET,
        **(extra or {}),
    )


class ApiError(Exception):
    """An error response.

    Attributes:
        code: For programs; the status's own where it is not given.
        extra: Further members of ``ErrorBody``: the stored ballot of a conflict, for example.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *fields: FieldError,
        code: ErrorCode | None = None,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.fields = fields
        self.code = code or code_of_status(status)
        self.headers = headers or {}
        self.extra = extra or {}


_NOT_FOUND: Final = MappingProxyType(
    {
        "Market": ErrorCode.MARKET_NOT_FOUND,
        "Wallet": ErrorCode.WALLET_NOT_FOUND,
        "Discussion": ErrorCode.COMMENT_NOT_FOUND,
        "Transaction": ErrorCode.TRANSACTION_NOT_FOUND,
        "File": ErrorCode.FILE_NOT_FOUND,
        "Draft": ErrorCode.DRAFT_NOT_FOUND,
        "Session": ErrorCode.SESSION_NOT_FOUND,
        "Service": ErrorCode.SERVICE_NOT_FOUND,
    }
)
_UNAVAILABLE: Final = MappingProxyType(
    {
        "The database": ErrorCode.DATABASE_UNAVAILABLE,
        "The chain": ErrorCode.CHAIN_UNAVAILABLE,
        "The pin store": ErrorCode.PIN_STORE_UNAVAILABLE,
    }
)


def invalid(field: str, message: str, status: int = 400, code: ErrorCode | None = None) -> ApiError:
    """Return the error of an invalid ``field``; ``message`` says what is expected of it."""
    if code is None and status == 400:
        code = ErrorCode.INVALID_FIELD
    return ApiError(status, f"{field}: {message}", FieldError(field, message), code=code)


def not_found(resource: str, *fields: FieldError) -> ApiError:
    """Return a 404: ``resource`` does not exist; ``fields`` say why none can have this name."""
    code = _NOT_FOUND.get(resource, ErrorCode.NOT_FOUND)
    reasons = "".join(f"; {item.field}: {item.message}" for item in fields)
    return ApiError(404, f"{resource} not found{reasons}", *fields, code=code)


def unavailable(service: str) -> ApiError:
    """Return a 503 with Retry-After: ``service`` cannot be reached at the moment."""
    return ApiError(
        503,
        f"{service} is unavailable; retry after {RETRY_SECONDS} s",
        code=_UNAVAILABLE.get(service, ErrorCode.SERVICE_UNAVAILABLE),
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def limit_exceeded(setting: str, allowed: int, seconds: int) -> ApiError:
    """Return a 429 with Retry-After that names the limit by its setting."""
    return ApiError(
        429,
        f"The limit {setting} ({allowed}) is reached; retry after {seconds} s",
        code=ErrorCode.LIMIT_EXCEEDED,
        headers={"Retry-After": str(seconds)},
        extra={"limit": ReachedLimit(setting, allowed, retry_after_seconds=seconds)},
    )
