"""What the generated OpenAPI document lacks: formats, security, limits, the frames' schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from api.openapi import field_formats
from api.openapi.field_formats import FieldFormat
from api.openapi.limit_responses import state_limits
from api.openapi.paths import merge_equal_paths
from api.rate_limit.route_buckets import RouteBuckets
from api.realtime.protocol import Message
from api.realtime.system_state import SystemState
from api.struct_schemas import INTEGER_TEXT, described_types, exact_structs
from zmart_pipelines.client_schemas.formats import ExactIntegers, large_integer_fields
from zmart_pipelines.client_schemas.frames import FRAME_SCHEMAS

# Litestar states limits as floats, which round this one up.
_MAX_INTEGER: Final = 2**63 - 1

# ``api.requests.decoding`` rejects NUL in every text of a body.
_WITHOUT_NUL: Final = r"^[^\x00]*$"

_LOCATION: Final = OpenAPIHeader(
    schema=Schema(type=OpenAPIType.STRING),
    description="Where the created resource is listed, or the market that it changes.",
)


def complete(app: Litestar, limits: RouteBuckets) -> None:
    """Complete the app's document in place.

    Args:
        app: The app, with all of its routes.
        limits: Which of them are limited.
    """
    document = app.openapi_schema
    requests: set[str] = set()
    for item in (document.paths or {}).values():
        for operation in (item.get, item.post, item.put, item.patch, item.delete):
            if operation is not None:
                _complete_operation(operation)
                requests |= set(_request_schemas(operation))
    # In an order that does not depend on the process; see ``document`` on paths of one handler.
    document.paths = merge_equal_paths(dict(sorted((document.paths or {}).items())))
    _describe_event_stream(document.paths["/api/stream"].get)
    schemas = document.components.schemas
    for name, schema in schemas.items():
        if isinstance(schema, Schema) and schema.properties:
            _complete_schema(schema, is_request=name in requests)
    for name, frame_schema in _frame_schemas().items():
        schemas.setdefault(name, cast(Schema, frame_schema))
    for described in exact_structs():
        _name_exact_integers(schemas.get(described.__name__), described)
    state_limits(app, limits)


def _request_schemas(operation: Operation) -> Iterator[str]:
    """Yield the names of the schemas of the operation's body."""
    body = operation.request_body
    for media in body.content.values() if isinstance(body, RequestBody) else ():
        described = media.schema
        alternatives = described.one_of if isinstance(described, Schema) else [described]
        for one in alternatives or ():
            if isinstance(one, Reference):
                yield one.ref.rpartition("/")[2]


def _complete_schema(schema: Schema, *, is_request: bool) -> None:
    properties = schema.properties or {}
    if "exact" in properties:
        schema.required = sorted({*(schema.required or ()), "exact"})
    if is_request:
        schema.additional_properties = False
    for name, member in properties.items():
        # A member that may be absent is described as one of a single schema.
        if isinstance(member, Schema) and member.one_of and len(member.one_of) == 1:
            properties[name] = member = member.one_of[0]
        stated = field_formats.request_format if is_request else field_formats.member_format
        _state_format(member, stated(name))
        if is_request:
            _state_allowed_characters(member)
        if isinstance(member, Schema) and (member.maximum or 0) > _MAX_INTEGER:
            member.maximum = _MAX_INTEGER


def _name_exact_integers(schema: object, described: type[ExactIntegers]) -> None:
    """State which integers ``exact`` repeats, so that generated clients know its members."""
    if not isinstance(schema, Schema) or not schema.properties:
        return  # a frame's schema states it already
    names = [name for _, name in large_integer_fields(described)]
    schema.properties["exact"] = Schema(
        type=OpenAPIType.OBJECT,
        properties={name: Schema(type=OpenAPIType.STRING, pattern=INTEGER_TEXT) for name in names},
        required=sorted(names),
    )


def _complete_operation(operation: Operation) -> None:
    """Use the first sentence of the description as the summary; say where no proof is needed."""
    if operation.description:
        operation.description = operation.description.replace("``", "`")
        first = re.split(r"(?<=[.;:])\s", " ".join(operation.description.split()))[0]
        operation.summary = first.rstrip(".;:").replace("`", "")
    if operation.security is None:
        operation.security = []
    elif operation.request_body is not None and {"wallet": []} in operation.security:
        # The proof may stand in the body instead of the header.
        operation.security = [*operation.security, {}]
    created = (operation.responses or {}).get("201")
    if isinstance(created, OpenAPIResponse):
        created.headers = {**(created.headers or {}), "Location": _LOCATION}
    for status, response in (operation.responses or {}).items():
        if isinstance(response, OpenAPIResponse):
            _complete_response(status, response)
    for parameter in operation.parameters or ():
        if isinstance(parameter, Parameter):
            _state_format(parameter.schema, field_formats.parameter_format(parameter.name))


def _describe_event_stream(operation: Operation | None) -> None:
    """Add the other type of answer: a handler can state one for each status."""
    success = (operation.responses or {}).get("200") if operation is not None else None
    if not isinstance(success, OpenAPIResponse) or success.content is None:
        raise TypeError("the stream's answer is not described")
    text = Schema(
        type=OpenAPIType.STRING,
        description="Server-Sent Events. The `data` of each is a `Message`, `event` its `type`.",
    )
    success.content["text/event-stream"] = OpenAPIMediaType(schema=text)


def _complete_response(status: str, response: OpenAPIResponse) -> None:
    if status < "300":
        response.description = "Success."
    # Litestar gathers them in a set.
    response.headers = dict(sorted((response.headers or {}).items())) or None
    for header in (response.headers or {}).values():
        if isinstance(header, OpenAPIHeader) and header.schema is None:
            header.schema = Schema(type=OpenAPIType.STRING)


def _state_format(schema: object, stated: FieldFormat | None) -> None:
    """Write the format into the schema's texts that do not have one."""
    if stated is None:
        return
    for text in _texts(schema):
        if text.enum or text.format or text.pattern or text.const is not None:
            continue
        text.examples = text.examples or [stated.example]
        text.pattern = stated.pattern
        text.format = cast(Any, stated.format)
        text.enum = list(stated.choices) or None


def _state_allowed_characters(schema: object) -> None:
    for text in _texts(schema):
        if not (text.enum or text.format or text.pattern or text.const is not None):
            text.pattern = _WITHOUT_NUL


def _texts(schema: object) -> Iterator[Schema]:
    """Yield the schema if it describes a text, or the texts among its alternatives and items."""
    if not isinstance(schema, Schema):
        return
    if schema.type == OpenAPIType.STRING:
        yield schema
    for alternative in (*(schema.one_of or ()), *(schema.any_of or ()), schema.items):
        yield from _texts(alternative)


def _frame_schemas() -> dict[str, Any]:
    """Return the JSON schemas of the WebSocket messages' ``data`` and envelope, by name."""
    _, schemas = described_types((*FRAME_SCHEMAS, SystemState, Message))
    return schemas
