"""Paths of the OpenAPI document that differ only by the names of their parameters are one path.

``GET /api/votes/{market}`` and ``POST /api/votes/{kind}`` are two routes here, and one path with
two operations in the document, whose parameter then has both names: ``kind_or_market``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields

from litestar.openapi.spec import Operation, Parameter, PathItem

_PARAMETER = re.compile(r"\{(\w+)\}")


def merge_equal_paths(paths: Mapping[str, PathItem]) -> dict[str, PathItem]:
    """Return the paths with those of the same shape merged; changes their operations in place."""
    shapes: dict[str, list[str]] = {}
    for path in paths:
        shapes.setdefault(_PARAMETER.sub("{}", path), []).append(path)
    return dict(_merged(paths, equal) for equal in shapes.values())


def _merged(paths: Mapping[str, PathItem], equal: list[str]) -> tuple[str, PathItem]:
    names = list(zip(*(_PARAMETER.findall(path) for path in equal), strict=True))
    common = ["_or_".join(sorted(set(each))) for each in names]
    merged = PathItem()
    for number, path in enumerate(equal):
        renamed = {each[number]: name for each, name in zip(names, common, strict=True)}
        for method, operation in _operations(paths[path]):
            _rename(operation, renamed)
            setattr(merged, method, operation)
    remaining = iter(common)
    return _PARAMETER.sub(lambda _: f"{{{next(remaining)}}}", equal[0]), merged


def _rename(operation: Operation, names: Mapping[str, str]) -> None:
    for parameter in operation.parameters or ():
        if isinstance(parameter, Parameter) and parameter.param_in == "path":
            parameter.name = names.get(parameter.name, parameter.name)


def _operations(item: PathItem) -> Iterator[tuple[str, Operation]]:
    for field in fields(item):
        value = getattr(item, field.name)
        if isinstance(value, Operation):
            yield field.name, value
