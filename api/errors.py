"""The body of every error response, and how exceptions map to it.

Body: ``{error, message, status, timestamp, path, details?: [{field, message}]}``. The texts
never contain SQL, a stack trace, an internal address or a secret.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal, get_args, get_origin

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

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


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every response with a status of 400 or above.

    `error` is the status's phrase or a code that programs may test.
    """

    error: str
    message: str
    status: int
    timestamp: str
    path: str
    details: tuple[FieldError, ...] | msgspec.UnsetType = msgspec.UNSET


class ApiError(Exception):
    """An error response.

    Attributes:
        extra: Fields merged into the body: the stored ballot of a conflict, for example.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *fields: FieldError,
        error: str | None = None,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.fields = fields
        self.error = error or HTTPStatus(status).phrase
        self.headers = headers or {}
        self.extra = extra or {}


def invalid(field: str, message: str, status: int = 400) -> ApiError:
    """Return the error of an invalid ``field``; ``message`` says what is expected of it."""
    return ApiError(status, f"{field}: {message}", FieldError(field, message))


def not_found(resource: str) -> ApiError:
    """Return a 404: ``resource`` does not exist."""
    return ApiError(404, f"{resource} not found")


def unavailable(service: str) -> ApiError:
    """Return a 503 with Retry-After: ``service`` cannot be reached at the moment."""
    return ApiError(
        503,
        f"{service} is unavailable; retry after {RETRY_SECONDS} s",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def limit_exceeded(setting: str, allowed: int, seconds: int) -> ApiError:
    """Return a 429 with Retry-After that names the limit by its setting."""
    return ApiError(
        429,
        f"The limit {setting} ({allowed}) is reached; retry after {seconds} s",
        error="limit_exceeded",
        headers={"Retry-After": str(seconds)},
        extra={"limit": {"name": setting, "value": allowed}},
    )


def _respond(request: Request[Any, Any, Any], error: ApiError) -> Response[dict[str, Any]]:
    body = ErrorBody(
        error=error.error,
        message=error.message,
        status=error.status,
        timestamp=iso8601(datetime.now(UTC)),
        path=request.scope["path"],
        details=tuple(error.fields) or msgspec.UNSET,
    )
    return Response(
        content={**msgspec.to_builtins(body), **error.extra},
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


def _from_litestar(request: Request[Any, Any, Any], exc: HTTPException) -> Response[dict[str, Any]]:
    if exc.status_code >= 500:
        return _unexpected(request, exc)
    fields = _invalid_fields(request, exc)
    if fields:
        message = "; ".join(f"{item.field}: {item.message}" for item in fields)
    elif exc.status_code == 404:
        message = f"No route {request.method} {request.scope['path']}"
    elif exc.status_code == 405:
        message = f"{request.method} is not allowed on this path"
    else:
        message = exc.detail
    headers = {key: value for key, value in (exc.headers or {}).items() if key.lower() == "allow"}
    return _respond(request, ApiError(exc.status_code, message, *fields, headers=headers))


def _from_api(request: Request[Any, Any, Any], exc: ApiError) -> Response[dict[str, Any]]:
    return _respond(request, exc)


def _from_database(request: Request[Any, Any, Any], exc: Exception) -> Response[dict[str, Any]]:
    """Answer 503: a database that is stopped, starting, full or in a conflict recovers soon."""
    log.warning("database unavailable: %s", type(getattr(exc, "orig", exc)).__name__)
    return _respond(request, unavailable("The database"))


def _unexpected(request: Request[Any, Any, Any], exc: Exception) -> Response[dict[str, Any]]:
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
