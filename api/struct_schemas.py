"""JSON schemas of structs, with the formats of their texts."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from api.openapi.field_formats import FieldFormat, member_format
from zmart_pipelines.client_schemas.formats import ExactIntegers, large_integer_fields

JsonSchema: TypeAlias = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{name}"
INTEGER_TEXT: Final = r"^-?\d+$"
_FORMATTED: Final = frozenset({"enum", "format", "pattern", "const"})


def _exact_schema(described: type[ExactIntegers]) -> JsonSchema:
    """Return the schema of ``exact``: which integers of ``described`` it repeats."""
    names = [name for _, name in large_integer_fields(described)]
    return {
        "type": "object",
        "properties": {name: {"type": "string", "pattern": INTEGER_TEXT} for name in names},
        "required": sorted(names),
    }


def described_types(types: Iterable[Any]) -> tuple[dict[Any, JsonSchema], dict[str, JsonSchema]]:
    """Return the schemas of these types, and the components of the structs in them, by name."""
    listed = tuple(types)
    references, components = msgspec.json.schema_components(listed, ref_template=_REFERENCE)
    exact = {one.__name__: one for one in exact_structs()}
    for name, component in components.items():
        _complete(component, exact.get(name))
    return dict(zip(listed, references, strict=True)), dict(sorted(components.items()))


def exact_structs(
    parent: type[ExactIntegers] = ExactIntegers,
) -> Iterator[type[ExactIntegers]]:
    """Yield every struct that repeats its large integers as text."""
    for child in parent.__subclasses__():
        yield child
        yield from exact_structs(child)


def _complete(component: JsonSchema, exact: type[ExactIntegers] | None) -> None:
    if "description" in component:
        component["description"] = inspect.cleandoc(component["description"])
    properties = component.get("properties", {})
    for name, member in properties.items():
        if (stated := member_format(name)) is not None:
            _state_format(member, stated)
    if exact is not None:
        properties["exact"] = _exact_schema(exact)
        component["required"] = sorted({*component.get("required", ()), "exact"})


def _state_format(member: JsonSchema, stated: FieldFormat) -> None:
    """Write the format into the texts of a member that do not have one."""
    keywords = {
        "examples": [stated.example],
        "pattern": stated.pattern,
        "format": stated.format,
        "enum": list(stated.choices),
    }
    for text in _texts(member):
        if not text.keys() & _FORMATTED:
            text |= {name: value for name, value in keywords.items() if value}


def _texts(schema: JsonSchema) -> Iterator[JsonSchema]:
    """Yield the schema if it describes a text, or the texts among its alternatives and items."""
    if schema.get("type") == "string":
        yield schema
    for alternative in schema.get("anyOf", ()):
        yield from _texts(alternative)
    if isinstance(items := schema.get("items"), dict):
        yield from _texts(items)
