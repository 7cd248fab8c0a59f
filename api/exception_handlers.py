"""How exceptions become error responses."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.error_codes import ErrorCode
from api.errors import ApiError, ErrorBody, error_body, unavailable
from api.requests.validation import refusal
from zmart_pipelines.store.outages import concerns_database

log = logging.getLogger("api")


def _respond(request: Request[Any, Any, Any], error: ApiError) -> Response[ErrorBody]:
    return Response(
        content=error_body(
            error.status,
            error.message,
            request.scope["path"],
            code=error.code,
            fields=error.fields,
            request_id=request.scope.get("state", {}).get("request_id"),
            extra=error.extra,
        ),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )


def _from_validation(
    request: Request[Any, Any, Any], exc: ValidationException
) -> Response[ErrorBody]:
    """Name all that is invalid: Litestar stops at the first parameter that is missing."""
    found = refusal(request)
    return _from_litestar(request, exc) if found is None else _respond(request, found)


def _from_litestar(request: Request[Any, Any, Any], exc: HTTPException) -> Response[ErrorBody]:
    if exc.status_code >= 500:
        return _unexpected(request, exc)
    code, message = None, exc.detail
    if exc.status_code == 404:
        code = ErrorCode.ROUTE_NOT_FOUND
        message = f"No route {request.method} {request.scope['path']}"
    elif exc.status_code == 405:
        message = f"{request.method} is not allowed on this path"
    headers = {key: value for key, value in (exc.headers or {}).items() if key.lower() == "allow"}
    return _respond(request, ApiError(exc.status_code, message, code=code, headers=headers))


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
    ValidationException: _from_validation,
    HTTPException: _from_litestar,
    OperationalError: _from_database,
    InterfaceError: _from_database,
    PoolTimeout: _from_database,
    Exception: _unexpected,
}
