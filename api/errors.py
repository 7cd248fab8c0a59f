"""One shape for every error answer, and what each failure of the domain looks like in it.

Body: ``{error, message, status, timestamp, path, details?: [{field, message}]}``. The
text never holds SQL, a stack trace, an address of ours or a secret.
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
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = logging.getLogger("api")

RETRY_SECONDS = 2
# What a client named is told back no longer than this.
MAX_NAME = 100
MAX_TEXT = 300
_MISSING_PARAMETER = re.compile(r"Missing required \w+ parameter '([^']+)'")


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field of the request."""

    field: str
    message: str


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer with a status of 400 or more."""

    error: str
    message: str
    status: int
    timestamp: str
    path: str
    details: tuple[FieldError, ...] | msgspec.UnsetType = msgspec.UNSET


class ApiError(Exception):
    """A failure with its HTTP meaning.

    ``extra`` is merged into the body: the stored ballot of a conflict, for example.
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
    """The error of a request whose ``field`` does not do, with the remedy in ``message``."""
    return ApiError(status, f"{field}: {message}", FieldError(field, message))


def not_found(what: str) -> ApiError:
    """404: ``what`` does not exist."""
    return ApiError(404, f"{what} not found")


def unavailable(what: str) -> ApiError:
    """503 with Retry-After: ``what`` is away and will be back."""
    return ApiError(
        503,
        f"{what} is not available at the moment; try again",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def _respond(request: Request[Any, Any, Any], error: ApiError) -> Response[dict[str, Any]]:
    body = ErrorBody(
        error=error.error,
        message=error.message,
        status=error.status,
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        path=request.scope["path"],
        details=tuple(error.fields) or msgspec.UNSET,
    )
    return Response(
        content={**msgspec.to_builtins(body), **error.extra},
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )


def _details(request: Request[Any, Any, Any], exc: HTTPException) -> Sequence[FieldError]:
    """Litestar's list of what failed, in our words."""
    missing = _MISSING_PARAMETER.match(exc.detail)
    if missing is not None:
        return [FieldError(missing[1].rstrip("_"), "is missing")]
    if not isinstance(exc.extra, list):
        return ()
    found = []
    for item in exc.extra:
        message = str(item.get("message", "is not valid"))
        field = str(item.get("key", "body"))
        # A missing or unknown member is named inside msgspec's sentence.
        if field == "data":
            field = _named_member(message) or "body"
        allowed = _allowed(request, field) if "enum value" in message else ()
        if allowed:
            message = f"must be one of {', '.join(allowed)}"
        found.append(FieldError(field.rstrip("_")[:MAX_NAME], message[:MAX_TEXT]))
    return found


def _named_member(message: str) -> str | None:
    parts = message.split("`")
    return parts[1] if "field" in message and len(parts) >= 3 else None


def _allowed(request: Request[Any, Any, Any], field: str) -> tuple[str, ...]:
    """The values that a parameter, or a member of the body, may take."""
    parameters = request.route_handler.parsed_fn_signature.parameters
    if field in parameters:
        return _literals(parameters[field].annotation)
    for body in _parts(parameters["data"].annotation) if "data" in parameters else ():
        if isinstance(body, type) and issubclass(body, msgspec.Struct):
            for member in msgspec.structs.fields(body):
                if member.name == field:
                    return _literals(member.type)
    return ()


def _parts(annotation: Any) -> Iterator[Any]:
    """An annotation and everything it is made of."""
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
    fields = _details(request, exc)
    if fields:
        message = "; ".join(f"{item.field}: {item.message}" for item in fields)
    elif exc.status_code == 404:
        message = f"{request.method} {request.scope['path']} does not exist"
    elif exc.status_code == 405:
        message = f"{request.method} is not allowed here"
    else:
        message = exc.detail
    headers = {key: value for key, value in (exc.headers or {}).items() if key.lower() == "allow"}
    return _respond(request, ApiError(exc.status_code, message, *fields, headers=headers))


def _from_api(request: Request[Any, Any, Any], exc: ApiError) -> Response[dict[str, Any]]:
    return _respond(request, exc)


def _from_database(request: Request[Any, Any, Any], exc: Exception) -> Response[dict[str, Any]]:
    """A database that is away, starting, full or in a conflict is a matter of seconds."""
    log.warning("database not available: %s", type(getattr(exc, "orig", exc)).__name__)
    return _respond(request, unavailable("The database"))


def _unexpected(request: Request[Any, Any, Any], exc: Exception) -> Response[dict[str, Any]]:
    """A fault of ours: logged with its trace, told without."""
    if isinstance(exc, DBAPIError) and exc.connection_invalidated:
        return _from_database(request, exc)
    log.error(
        "unhandled %s in %s %s",
        type(exc).__name__,
        request.method,
        request.scope.get("path_template", "?"),
        exc_info=exc,
    )
    return _respond(request, ApiError(500, "The server failed to answer; the fault is logged"))


HANDLERS: ExceptionHandlersMap = {
    ApiError: _from_api,
    HTTPException: _from_litestar,
    OperationalError: _from_database,
    InterfaceError: _from_database,
    PoolTimeout: _from_database,
    Exception: _unexpected,
}
