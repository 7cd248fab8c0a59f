"""From result rows to Structs."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row

T = TypeVar("T", bound=msgspec.Struct)


def one(cls: type[T], row: Row[*tuple[Any, ...]]) -> T:
    """Return the row as ``cls``, field by column name; sums of integers become ``int``."""
    values = row._mapping
    return cls(
        **{
            field: int(value) if isinstance(value := values[field], Decimal) else value
            for field in cls.__struct_fields__
        }
    )


def many(cls: type[T], rows: Iterable[Row[*tuple[Any, ...]]]) -> list[T]:
    """Return the rows as ``cls``."""
    return [one(cls, row) for row in rows]


def by_position(cls: type[T], row: Iterable[Any]) -> T:
    """Return a driver's row, whose columns are the fields in their order, as ``cls``."""
    return cls(*[int(value) if isinstance(value, Decimal) else value for value in row])
