"""The body of every error response, and how exceptions map to it.

The members of RFC 9457 stand beside those that older clients read: ``error`` and ``message``. The
texts never contain SQL, a stack trace, an internal address or a secret.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Literal, get_args, get_origin

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.ballot_schema import Ballot
from api.error_codes import ErrorCode, code_of_program_error, code_of_status
from zmart_pipelines.client_schemas.formats import iso8601
from zmart_pipelines.store.outages import concerns_database

log = logging.getLogger("api")

RETRY_SECONDS = 2
# Names and texts of the request are echoed up to these lengths.
MAX_NAME = 100
MAX_TEXT = 300
_MISSING_PARAMETER = re.compile(r"Missing required \w+ parameter '([^']+)'")


class FieldError(msgspec.Struct, frozen=True):
    """An invalid field of the request: what is expected of it."""

    field: str
    message: str


class ReachedLimit(msgspec.Struct, frozen=True):
    """A limit that was reached: the setting's name and its value."""

    name: str
    value: int


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every response with a status of 400 or above.

    `code` is for programs, `message` for people; `error` is the status's phrase. `type`, `title`,
    `detail` and `instance` are those of RFC 9457: `detail` repeats `message`, `instance` repeats
    `path`. `program_error` is the name of the program's error, `limit` the limit that was reached,
    `stored` the ballot that the wallet has already cast.
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
    stored: Ballot | msgspec.UnsetType = msgspec.UNSET
    program_error: str | msgspec.UnsetType = msgspec.UNSET


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
        extra={"limit": ReachedLimit(setting, allowed)},
    )


def program_refusal(
    name: str, message: str, *fields: FieldError, code: ErrorCode | None = None
) -> ApiError:
    """Return a 409: the program would refuse, with the error of this ``name``."""
    return ApiError(
        409,
        message,
        *fields,
        code=code or code_of_program_error(name),
        extra={"program_error": name},
    )


def _respond(request: Request[Any, Any, Any], error: ApiError) -> Response[ErrorBody]:
    request_id = request.scope.get("state", {}).get("request_id")
    return Response(
        content=error_body(
            error.status,
            error.message,
            request.scope["path"],
            code=error.code,
            fields=error.fields,
            request_id=request_id,
            extra=error.extra,
        ),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )


def _invalid_fields(request: Request[Any, Any, Any], exc: HTTPException) -> Sequence[FieldError]:
    """Return the invalid fields that Litestar lists."""
    missing = _MISSING_PARAMETER.match(exc.detail)
    if missing is not None:
        return [FieldError(missing[1].rstrip("_"), "is required")]
    if not isinstance(exc.extra, list):
        return ()
    found = []
    for item in exc.extra:
        message = str(item.get("message", "is invalid"))
        field = str(item.get("key", "body"))
        # msgspec names a missing or unknown field inside its message.
        if field == "data":
            field = _quoted_field(message) or "body"
        allowed = _allowed_values(request, field) if "enum value" in message else ()
        if allowed:
            message = f"must be one of {', '.join(allowed)}"
        found.append(FieldError(field.rstrip("_")[:MAX_NAME], message[:MAX_TEXT]))
    return found


def _quoted_field(message: str) -> str | None:
    parts = message.split("`")
    return parts[1] if "field" in message and len(parts) >= 3 else None


def _allowed_values(request: Request[Any, Any, Any], field: str) -> tuple[str, ...]:
    """Return the allowed values of a parameter or of a field of the body."""
    parameters = request.route_handler.parsed_fn_signature.parameters
    if field in parameters:
        return _literals(parameters[field].annotation)
    for body in _parts(parameters["data"].annotation) if "data" in parameters else ():
        if isinstance(body, type) and issubclass(body, msgspec.Struct):
            types = {member.name: member.type for member in msgspec.structs.fields(body)}
            if field in types:
                return _literals(types[field])
    return ()


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and all annotations nested in it."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _literals(annotation: Any) -> tuple[str, ...]:
    for part in _parts(annotation):
        if get_origin(part) is Literal:
            return tuple(str(value) for value in get_args(part))
    return ()


def _from_litestar(request: Request[Any, Any, Any], exc: HTTPException) -> Response[ErrorBody]:
    if exc.status_code >= 500:
        return _unexpected(request, exc)
    code = None
    fields = _invalid_fields(request, exc)
    if fields:
        code = ErrorCode.INVALID_FIELD
        message = "; ".join(f"{item.field}: {item.message}" for item in fields)
    elif exc.status_code == 404:
        code = ErrorCode.ROUTE_NOT_FOUND
        message = f"No route {request.method} {request.scope['path']}"
    elif exc.status_code == 405:
        message = f"{request.method} is not allowed on this path"
    else:
        message = exc.detail
    headers = {key: value for key, value in (exc.headers or {}).items() if key.lower() == "allow"}
    return _respond(
        request, ApiError(exc.status_code, message, *fields, code=code, headers=headers)
    )


def _from_api(request: Request[Any, Any, Any], exc: ApiError) -> Response[ErrorBody]:
    return _respond(request, exc)


def _from_database(request: Request[Any, Any, Any], exc: Exception) -> Response[ErrorBody]:
    """Answer 503: a database that is stopped, starting, full or in a conflict recovers soon."""
    log.warning("database unavailable: %s", type(getattr(exc, "orig", exc)).__name__)
    return _respond(request, unavailable("The database"))


def _unexpected(request: Request[Any, Any, Any], exc: Exception) -> Response[ErrorBody]:
    """Answer 500: the traceback is logged, not returned."""
    if concerns_database(exc):
        return _from_database(request, exc)
    log.error(
        "unhandled %s in %s %s",
        type(exc).__name__,
        request.method,
        request.scope.get("path_template", "?"),
        exc_info=exc,
    )
    return _respond(request, ApiError(500, "Internal server error; it has been logged"))


HANDLERS: ExceptionHandlersMap = {
    ApiError: _from_api,
    HTTPException: _from_litestar,
    OperationalError: _from_database,
    InterfaceError: _from_database,
    PoolTimeout: _from_database,
    Exception: _unexpected,
}
