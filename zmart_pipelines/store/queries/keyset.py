"""Keyset paging: the order of a list, and the predicate of the rows after a given one.

An order is a list of columns, each with its direction, whose last ones identify a row. The
*key* of a row is the values of these columns. The rows after a key are found by comparing rows
(``(a, b) < (x, y)``), which a btree index on the columns answers without reading what it skips.
That needs one direction for all columns and none that may be NULL; other orders are right too,
but only their first columns are bounded by the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    SmallInteger,
    Text,
    Uuid,
    and_,
    false,
    literal,
    or_,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeEngine

from zmart_pipelines.store.tables.base import U64

Value: TypeAlias = int | str | bytes | bool | datetime | UUID | None
Key: TypeAlias = tuple[Value, ...]
SelectT = TypeVar("SelectT", bound=Select[Any])

# What a column's values are in Python, so that nothing else reaches Postgres from a client.
_VALUE_TYPES: list[tuple[type[TypeEngine[Any]], Any]] = [
    (U64, int),
    (SmallInteger, Annotated[int, Meta(ge=-(2**15), le=2**15 - 1)]),
    (BigInteger, Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]),
    (Integer, Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]),
    (Boolean, bool),
    (LargeBinary, bytes),
    (TIMESTAMP, Annotated[datetime, Meta(tz=True)]),
    (Uuid, UUID),
    (Text, Annotated[str, Meta(pattern="^[^\\x00]*$")]),
]


class KeyColumn(msgspec.Struct, frozen=True):
    """One column of an order.

    Attributes:
        name: Of the value in a row: the column's name or label there.
        element: The column or expression.
        nullable: Whether the value may be NULL. NULLs are last in either direction.
    """

    name: str
    element: ColumnElement[Any]
    descending: bool = False
    nullable: bool = False

    @property
    def value_type(self) -> Any:
        """Return the type of the column's values, with their limits, for ``msgspec``."""
        found = next(python for sql, python in _VALUE_TYPES if isinstance(self.element.type, sql))
        return found | None if self.nullable else found


class Order(msgspec.Struct, frozen=True):
    """An order of rows.

    Attributes:
        name: Distinguishes the order from others of the same list; cursors carry it.
        columns: What the rows are ordered by; together they identify a row.
    """

    name: str
    columns: tuple[KeyColumn, ...]

    def key_of(self, row: object) -> Key:
        """Return the key of ``row``, which has the columns as attributes."""
        return tuple(getattr(row, column.name) for column in self.columns)

    def sorted(self, statement: SelectT) -> SelectT:
        """Return ``statement`` in this order."""
        return statement.order_by(*map(_sorted, self.columns))

    def page(
        self, statement: SelectT, *, after: Key | None, limit: int, offset: int = 0
    ) -> SelectT:
        """Return ``statement`` in this order, restricted to a page.

        Args:
            after: Key of the last row of the page before; None for the first page.
        """
        if after is not None:
            statement = statement.where(self.after(after))
        statement = self.sorted(statement).limit(limit)
        return statement.offset(offset) if offset else statement

    def after(self, key: Sequence[Value | ColumnElement[Any]]) -> ColumnElement[bool]:
        """Return the predicate of the rows that follow the one with ``key``.

        Args:
            key: Values, or parameters of columns that are never NULL.
        """
        return _after(list(zip(self.columns, key, strict=True)))


Bound: TypeAlias = tuple[KeyColumn, Value | ColumnElement[Any]]


def _sorted(column: KeyColumn) -> ColumnElement[Any]:
    element = column.element.desc() if column.descending else column.element.asc()
    return element.nulls_last() if column.nullable and column.descending else element


def _after(bounds: Sequence[Bound]) -> ColumnElement[bool]:
    """Return the predicate of the rows whose values follow those of ``bounds``."""
    run = _comparable(bounds)
    rest = bounds[len(run) :]
    if run[0][0].nullable:
        beyond, same = _beyond_nullable(*run[0]), _same(*run[0])
        return or_(beyond, and_(same, _after(rest))) if rest else beyond
    beyond = _beyond(run)
    if not rest:
        return beyond
    # Implied by the other half; it is what bounds the index.
    bound = _beyond(run, or_equal=True)
    return and_(bound, or_(beyond, _after(rest)))


def _comparable(bounds: Sequence[Bound]) -> Sequence[Bound]:
    """Return the first bounds that one comparison of rows covers; at least one."""
    _, run = next(groupby(bounds, lambda bound: (bound[0].nullable, bound[0].descending)))
    return bounds[:1] if bounds[0][0].nullable else list(run)


def _literal(column: KeyColumn, value: Value | ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(value, ColumnElement):
        return value
    return literal(value, column.element.type)


def _beyond(run: Sequence[Bound], *, or_equal: bool = False) -> ColumnElement[bool]:
    """Compare rows of columns that are never NULL and have one direction."""
    if len(run) == 1:
        left: Any = run[0][0].element
        right: Any = _literal(*run[0])
    else:
        left = tuple_(*(column.element for column, _ in run))
        right = tuple_(*(_literal(*bound) for bound in run))
    compared: ColumnElement[bool]
    if run[0][0].descending:
        compared = left <= right if or_equal else left < right
    else:
        compared = left >= right if or_equal else left > right
    return compared


def _beyond_nullable(column: KeyColumn, value: Value | ColumnElement[Any]) -> ColumnElement[bool]:
    if value is None:
        return false()
    return or_(_beyond([(column, value)]), column.element.is_(None))


def _same(column: KeyColumn, value: Value | ColumnElement[Any]) -> ColumnElement[bool]:
    if value is None:
        return column.element.is_(None)
    same: ColumnElement[bool] = column.element == _literal(column, value)
    return same
