"""Pack lists of values as Postgres' binary arrays.

The driver inspects every item to find the array's type and dumps each one by a call; with
the type known a whole array is packed at once, several times as fast.

Layout: src/backend/utils/adt/arrayfuncs.c of Postgres, ``array_recv``: dimensions, a flag
for nulls, the item's type; the length and the lower bound of the one dimension; then each
item behind its size, -1 for null. Timestamps are microseconds since 2000.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any, Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_HEAD: Final = struct.Struct(">iiIii").pack
_EMPTY: Final = struct.Struct(">iiI").pack
_size: Final = struct.Struct(">i").pack


class Array:
    """A packed array; its subclasses are the types of items, by which psycopg sends it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def _bytes(values: Sequence[bytes | None]) -> bytes:
    pieces: list[bytes] = []
    for value in values:
        if value is None:
            pieces.append(_NULL)
        else:
            pieces += (_size(len(value)), value)
    return b"".join(pieces)


def _text(values: Sequence[Any]) -> bytes:
    return _bytes([None if value is None else str(value).encode() for value in values])


def _fixed(code: str, size: int) -> Callable[[Sequence[Any]], bytes]:
    """Return a packer of items of ``size`` bytes each."""
    one = struct.Struct(f">i{code}").pack

    def pack(values: Sequence[Any]) -> bytes:
        if None in values:
            return b"".join([_NULL if value is None else one(size, value) for value in values])
        pairs = chain.from_iterable(zip(repeat(size), values))
        return struct.pack(">" + f"i{code}" * len(values), *pairs)

    return pack


_int8 = _fixed("q", 8)


def _times(values: Sequence[datetime | None]) -> bytes:
    return _int8([None if value is None else _microseconds(value) for value in values])


def _microseconds(value: datetime) -> int:
    past = value - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


def _made(name: str, items: Callable[[Sequence[Any]], bytes]) -> Callable[[Sequence[Any]], Array]:
    info = psycopg.adapters.types[name]
    item, array = info.oid, info.array_oid

    class Packed(Array):
        __slots__ = ()

    class Sender(Dumper):
        format = Format.BINARY
        oid = array

        def dump(self, obj: Array) -> bytes:
            return obj.data

    psycopg.adapters.register_dumper(Packed, Sender)

    def pack(values: Sequence[Any]) -> Array:
        if not values:
            return Packed(_EMPTY(0, 0, item))
        data = items(values)
        nulls = int(None in values)
        return Packed(_HEAD(1, nulls, item, len(values), 1) + data)

    return pack


PACKERS: Final = {
    "bytea": _made("bytea", _bytes),
    "text": _made("text", _text),
    "boolean": _made("bool", _fixed("?", 1)),
    "smallint": _made("int2", _fixed("h", 2)),
    "integer": _made("int4", _fixed("i", 4)),
    "bigint": _made("int8", _int8),
    "timestamp with time zone": _made("timestamptz", _times),
}
keys: Final = PACKERS["bytea"]
texts: Final = PACKERS["text"]
numbers: Final = PACKERS["bigint"]
