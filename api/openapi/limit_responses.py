"""The 429 that every route but those outside the limits may answer, in the OpenAPI document."""

from __future__ import annotations

from copy import copy
from typing import Final

from litestar import Litestar
from litestar.openapi.spec import OpenAPIHeader, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType

from api.rate_limit.route_buckets import RouteBuckets

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_DESCRIPTION: Final = "A limit is reached; `limit` names it. Retry after `Retry-After` seconds."
_HEADERS: Final = {
    "Retry-After": OpenAPIHeader(
        schema=Schema(type=OpenAPIType.INTEGER, minimum=1),
        description="Seconds after which a request is accepted again.",
    ),
    "RateLimit": OpenAPIHeader(
        schema=Schema(type=OpenAPIType.STRING), description="What is left of each quota."
    ),
    "RateLimit-Policy": OpenAPIHeader(
        schema=Schema(type=OpenAPIType.STRING),
        description="The quotas that apply to this request.",
    ),
}


def state_limits(app: Litestar, routes: RouteBuckets) -> None:
    """Describe the 429 of every limited route in the app's document."""
    for path, item in (app.openapi_schema.paths or {}).items():
        for method in _METHODS:
            operation: Operation | None = getattr(item, method)
            if operation is not None and not routes.of(method.upper(), path, b"").is_exempt:
                _state(operation)


def _state(operation: Operation) -> None:
    responses = operation.responses or {}
    invalid = responses.get("400")
    if isinstance(invalid, OpenAPIResponse):
        stated = copy(invalid)
        stated.description, stated.headers = _DESCRIPTION, dict(_HEADERS)
        responses["429"] = stated
