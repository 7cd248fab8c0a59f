"""The operations of the document that the Python client has calls for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
_REFERENCE = "#/components/schemas/"
# Parameters with which an operation is another one, to which the API redirects and which has a call
# of its own.
_REDIRECTED = {"list_events": ("after",)}


@dataclass(frozen=True)
class Operation:
    """One operation; ``schema`` of body and answer are None where there is none."""

    name: str
    method: str
    path: str
    summary: str
    parameters: tuple[Schema, ...]
    body: Schema | None
    body_required: bool
    answer: Schema | None

    def parameters_in(self, place: str) -> list[Schema]:
        """Return the parameters in the path or the query."""
        return [one for one in self.parameters if one["in"] == place]


def operations(document: Schema) -> Iterator[Operation]:
    """Yield the operations for clients by name: no older paths, no receiver of webhooks."""
    found = [
        _operation(method, path, described)
        for path, item in document["paths"].items()
        for method, described in item.items()
        if not _is_left_out(described)
    ]
    yield from sorted(found, key=lambda one: one.name)


def _is_left_out(described: Schema) -> bool:
    is_older_path = re.search(r"_alias\d+$", described["operationId"]) is not None
    return is_older_path or {"helius": []} in described.get("security", [])


def _operation(method: str, path: str, described: Schema) -> Operation:
    succeeded = min(status for status in described["responses"] if status.startswith("2"))
    return Operation(
        name=described["operationId"],
        method=method.upper(),
        path=path,
        summary=described["summary"],
        parameters=tuple(
            one
            for one in described.get("parameters", ())
            if one["name"] not in _REDIRECTED.get(described["operationId"], ())
        ),
        body=_json_schema(described.get("requestBody", {})),
        body_required=described.get("requestBody", {}).get("required", False),
        answer=_json_schema(described["responses"][succeeded]),
    )


def _json_schema(described: Schema) -> Schema | None:
    schema: Schema | None = described.get("content", {}).get("application/json", {}).get("schema")
    return schema


def reference_name(schema: Schema) -> str | None:
    """Return the name of the schema that is referred to, None where none is."""
    reference: str | None = schema.get("$ref")
    return reference.removeprefix(_REFERENCE) if reference is not None else None


def referenced(schema: Any, schemas: Schema) -> set[str]:
    """Return the names of all schemas that this one needs, itself included."""
    names: set[str] = set()
    _gather(schema, schemas, names)
    return names


def _gather(part: Any, schemas: Schema, names: set[str]) -> None:
    if isinstance(part, dict):
        name = reference_name(part)
        if name is not None and name not in names:
            names.add(name)
            _gather(schemas[name], schemas, names)
    children = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for child in children:
        _gather(child, schemas, names)
