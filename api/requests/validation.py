"""Find everything that is invalid in a request, and name it at once.

Before a handler runs, :func:`check_request` refuses names in the path that no resource can have
(404), query parameters that the route does not have and what breaks its rules (400). Litestar then
converts parameters and body; where that fails, :func:`refusal` converts each of them again by
itself. In both cases everything that is invalid is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import msgspec
from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError, not_found
from api.requests import identifiers, query_rules

# Names and texts of the request are echoed up to these lengths, and so many fields are named.
MAX_NAME: Final = 100
MAX_TEXT: Final = 300
MAX_FIELDS: Final = 50
# Where a handler keeps what it accepts.
_KEPT: Final = "expected"
_PLACE: Final = re.compile(r" - at `\$(.*)`$")
FieldRules = Mapping[str, Callable[[Any], object]]


class _Parameter(msgspec.Struct, frozen=True):
    """A parameter of a query or a header, and the type that its text is converted to."""

    name: str
    is_required: bool
    is_list: bool
    annotation: Any

    def value(self, texts: list[str]) -> Any:
        """Return what is converted, of all texts that were given."""
        return texts if self.is_list else texts[-1]

    def convert(self, texts: list[str]) -> Any:
        """Return the value; raise msgspec.ValidationError where it is invalid."""
        return msgspec.convert(self.value(texts), self.annotation, strict=False, str_keys=True)


class _Expected(msgspec.Struct, frozen=True):
    """What a route accepts.

    Attributes:
        is_documented: Whether the route belongs to the API; pages and their files do not.
        body: The type of the body; None where there is none.
        rules: What types cannot state.
    """

    is_documented: bool
    path: Mapping[str, Any]
    query: tuple[_Parameter, ...]
    headers: tuple[_Parameter, ...]
    body: Any
    is_body_required: bool
    rules: Sequence[query_rules.Rule]


async def check_request(request: Request[Any, Any, Any]) -> None:
    """Check the names in path and query, and decode the body; Litestar's ``before_request`` hook.

    Raises:
        ApiError: 404 for a malformed name in the path; 400 for unknown query parameters and for
            a body that is no JSON, with all other invalid fields; 413, 415.
    """
    expected = _expected(request)
    if not expected.is_documented:
        return
    for name, text in request.path_params.items():
        identifiers.require_in_path(name, str(text))
    try:
        if expected.body is not None and await request.body():
            await request.json()
    except ApiError as error:
        if error.status != 400:
            raise
        raise _merged(error, _named_once(_invalid_parameters(request, expected))) from error
    if (request.scope["query_string"] or expected.body is not None) and _is_refused(
        request, expected
    ):
        raise _merged(None, _named_once(_invalid_fields(request, expected)))


def refusal(request: Request[Any, Any, Any]) -> ApiError | None:
    """Return the error that names all invalid parameters and fields; None where all are valid."""
    expected = _expected(request)
    in_path = [
        FieldError(name, reason)
        for name, annotation in expected.path.items()
        if (reason := _reason(request.path_params.get(name), annotation))
    ]
    if in_path:
        return not_found("Resource", *in_path)
    fields = _named_once(_invalid_fields(request, expected))
    return _merged(None, fields) if fields else None


def _merged(first: ApiError | None, fields: list[FieldError]) -> ApiError:
    """Return one 400 of an error and further invalid fields."""
    named = [*(first.fields if first is not None else ()), *fields][:MAX_FIELDS]
    code = ErrorCode.INVALID_FIELD if first is None else first.code
    if first is None and any(item.message.startswith(_UNKNOWN) for item in fields):
        code = ErrorCode.UNKNOWN_PARAMETER
    message = "; ".join(f"{item.field}: {item.message}" for item in named)
    return ApiError(400, message, *named, code=code)


def _named_once(fields: Iterable[FieldError]) -> list[FieldError]:
    """Return the first error of each field."""
    first: dict[str, FieldError] = {}
    for error in fields:
        first.setdefault(error.field, error)
    return list(first.values())


def _invalid_fields(request: Request[Any, Any, Any], expected: _Expected) -> Iterator[FieldError]:
    yield from _invalid_by_type(request, expected)
    if expected.body is not None:
        body = request.scope["state"].get("json", msgspec.UNSET)
        if body is not msgspec.UNSET:
            yield from invalid_members(body, expected.body)
        elif expected.is_body_required:
            yield FieldError("body", "is required")
    yield from _broken_rules(request, expected)


def _invalid_parameters(
    request: Request[Any, Any, Any], expected: _Expected
) -> Iterator[FieldError]:
    yield from _invalid_by_type(request, expected)
    yield from _broken_rules(request, expected)


def _invalid_by_type(request: Request[Any, Any, Any], expected: _Expected) -> Iterator[FieldError]:
    yield from _unknown_parameters(request, expected)
    for parameters, given in (
        (expected.query, request.query_params),
        (expected.headers, request.headers),
    ):
        for parameter in parameters:
            texts = given.getall(parameter.name, [])
            if texts:
                reason = _reason(parameter.value(texts), parameter.annotation)
            else:
                reason = "is required" if parameter.is_required else None
            if reason is not None:
                yield FieldError(parameter.name, reason)


def _is_refused(request: Request[Any, Any, Any], expected: _Expected) -> bool:
    """Return whether there is something invalid that Litestar's conversion would not find."""
    found = chain(_unknown_parameters(request, expected), _broken_rules(request, expected))
    return any(True for _ in found)


def _broken_rules(request: Request[Any, Any, Any], expected: _Expected) -> Iterator[FieldError]:
    if not expected.rules:
        return
    given = request.query_params
    values = {}
    for parameter in expected.query:
        texts = given.getall(parameter.name, [])
        if texts:
            with suppress(msgspec.ValidationError):
                values[parameter.name] = parameter.convert(texts)
    known = query_rules.Given(
        {name: str(text) for name, text in request.path_params.items()},
        frozenset(given),
        values,
        request.scope["state"].get("json"),
    )
    yield from query_rules.broken(expected.rules, known)


_UNKNOWN: Final = "is not a parameter of this route"


def _unknown_parameters(
    request: Request[Any, Any, Any], expected: _Expected
) -> Iterator[FieldError]:
    names = [parameter.name for parameter in expected.query]
    known = f"which has {', '.join(sorted(names))}" if names else "which has none"
    for name in request.query_params:
        if name not in names:
            yield FieldError(name[:MAX_NAME], f"{_UNKNOWN}, {known}")


def invalid_members(value: Any, annotation: Any, name: str = "") -> Iterator[FieldError]:
    """Yield the invalid members of a JSON value, with their names from the outermost object.

    Members that have the right type are checked by the ``FIELD_RULES`` of their struct.

    Args:
        value: The decoded JSON.
        annotation: The type that it is converted to: a struct, or a union with one.
        name: Its own name, for error messages; empty for the body.
    """
    struct = _struct(annotation)
    if struct is None or not isinstance(value, dict):
        yield from _invalid_value(value, annotation, name or "body")
        return
    prefix = f"{name}." if name else ""
    members = {member.encode_name: member for member in msgspec.structs.fields(struct)}
    if struct.__struct_config__.forbid_unknown_fields:
        for key in value.keys() - members.keys():
            text = f"is not a member of this object, which has {', '.join(members)}"
            yield FieldError(f"{prefix}{key}"[:MAX_NAME], text)
    rules: FieldRules = getattr(struct, "FIELD_RULES", {})
    for key, member in members.items():
        place = f"{prefix}{key}"
        if key not in value:
            if member.required:
                yield FieldError(place, "is required")
            continue
        found = list(invalid_members(value[key], member.type, place))
        yield from found
        if not found and value[key] is not None and member.name in rules:
            # As the struct will have it: a number may stand for true or false.
            converted = msgspec.convert(value[key], member.type, strict=False, str_keys=True)
            yield from _broken_rule(rules[member.name], converted, prefix)


def require_field_rules(body: msgspec.Struct, rules: FieldRules) -> None:
    """Raise ValueError, as a struct's ``__post_init__`` must, at the first rule that is broken."""
    for name, rule in rules.items():
        value = getattr(body, name)
        if value is not None and value is not msgspec.UNSET:
            for error in _broken_rule(rule, value, ""):
                raise ValueError(f"{error.field}: {error.message}")


def _broken_rule(rule: Callable[[Any], object], value: Any, prefix: str) -> Iterable[FieldError]:
    try:
        rule(value)
    except ApiError as error:
        return [FieldError(f"{prefix}{item.field}", item.message) for item in error.fields]
    return ()


def _invalid_value(value: Any, annotation: Any, name: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, annotation, strict=False, str_keys=True)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        yield FieldError(f"{name}{place[1] if place else ''}"[:MAX_NAME], _text(error, annotation))


def _reason(value: Any, annotation: Any) -> str | None:
    """Return why a parameter's text cannot be converted; None where it can."""
    for error in _invalid_value(value, annotation, ""):
        return error.message
    return None


def _text(error: msgspec.ValidationError, annotation: Any) -> str:
    text = _PLACE.sub("", str(error))
    allowed = _literals(annotation) if "enum value" in text else ()
    return (f"must be one of {', '.join(allowed)}" if allowed else text)[:MAX_TEXT]


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


def _struct(annotation: Any) -> type[msgspec.Struct] | None:
    """Return the struct that an annotation is, alone or with None."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    if get_origin(annotation) is Annotated:
        return _struct(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next(filter(None, map(_struct, get_args(annotation))), None)
    return None


def _expected(request: Request[Any, Any, Any]) -> _Expected:
    """Return what the request's handler accepts; kept with the handler."""
    handler = request.route_handler
    expected = handler.opt.get(_KEPT)
    if expected is None:
        expected = handler.opt[_KEPT] = _read_expected(request.app, handler)
    return cast(_Expected, expected)


def _read_expected(app: Litestar, handler: HTTPRouteHandler) -> _Expected:
    """Return what a handler and its dependencies accept, from their signatures."""
    route = next(
        route
        for route in app.routes
        if isinstance(route, HTTPRoute) and handler in route.route_handlers
    )
    model = handler.create_kwargs_model(path_parameters=route.path_parameters)
    types: dict[str, Any] = {}
    for provider in handler.resolve_dependencies().values():
        types |= provider.signature_model.__annotations__
    types |= handler.signature_model.__annotations__
    body = handler.parsed_fn_signature.parameters.get("data")

    def parameters(definitions: Iterable[Any]) -> tuple[_Parameter, ...]:
        return tuple(
            _Parameter(item.field_alias, item.is_required, item.is_sequence, types[item.field_name])
            for item in sorted(definitions, key=lambda item: str(item.field_alias))
        )

    return _Expected(
        is_documented=handler.resolve_include_in_schema(),
        path={
            item.field_alias: types[item.field_name]
            for item in model.expected_path_params
            if item.field_name in types
        },
        query=parameters(model.expected_query_params),
        headers=parameters(model.expected_header_params),
        body=None if body is None else types["data"],
        is_body_required=body is not None and not body.has_default,
        rules=handler.opt.get(query_rules.STATED, ()),
    )
