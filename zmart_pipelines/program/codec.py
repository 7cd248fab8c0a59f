"""Borsh codecs of flat structs, built from the program's IDL at import.

A struct consists of runs of fixed-width fields with options between them; each run is one
``struct.Struct``. The program uses these types: bool, u8..u64, i64, pubkey and ``[u8; n]``
(both as bytes), field-less enums, and options of those. Decoding is as strict as Borsh in the
program: a bool or option tag other than 0 and 1, or an unknown variant, is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from itertools import product
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from zmart_pipelines.program.idl import Field, IdlError, IdlType

T = TypeVar("T", bound=msgspec.Struct)
Enums = Mapping[str, type[IntEnum]]
NO_ENUMS: Enums = MappingProxyType({})


class DecodeError(ValueError):
    """The bytes do not match their type or discriminator."""


class EncodeError(ValueError):
    """A value does not fit its field; the message names the field."""


class Scalar(NamedTuple):
    """A fixed-width type. ``low``/``high`` bound integers; ``members`` maps a byte to a value."""

    code: str
    size: int
    low: int = 0
    high: int = 0
    members: tuple[object, ...] | None = None

    def pack(self, value: object) -> bytes:
        """Return the value's bytes; EncodeError says why it has none."""
        if self.members is not None:
            if type(value) is not type(self.members[0]):
                raise EncodeError(f"{value!r} is not a {type(self.members[0]).__name__}")
            return bytes([self.members.index(value)])
        if self.code.endswith("s"):
            if not isinstance(value, bytes):
                raise EncodeError(f"{type(value).__name__} instead of {self.size} bytes")
            if len(value) != self.size:
                raise EncodeError(f"has {len(value)} bytes, must have {self.size}")
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise EncodeError(f"{type(value).__name__} instead of an integer")
        if not self.low <= value <= self.high:
            raise EncodeError(f"{value} is outside {self.low}..{self.high}")
        return struct.pack("<" + self.code, value)


def _unsigned(code: str, size: int) -> Scalar:
    return Scalar(code, size, 0, 2 ** (8 * size) - 1)


_PLAIN: Mapping[str, Scalar] = {
    "bool": Scalar("B", 1, members=(False, True)),
    "u8": _unsigned("B", 1),
    "u16": _unsigned("H", 2),
    "u32": _unsigned("I", 4),
    "u64": _unsigned("Q", 8),
    "i64": Scalar("q", 8, -(2**63), 2**63 - 1),
    "pubkey": Scalar("32s", 32),
}


def _scalar(kind: IdlType, enums: Enums) -> Scalar:
    if isinstance(kind, str):
        return _PLAIN[kind]
    if kind.array is not None and kind.array[0] == "u8":
        return Scalar(f"{kind.array[1]}s", kind.array[1])
    if kind.defined is not None:
        return Scalar("B", 1, members=tuple(enums[kind.defined.name]))
    raise IdlError(f"no codec for {kind}")


class _Run:
    """Consecutive fixed-width fields, decoded with one unpack."""

    def __init__(self, scalars: Sequence[Scalar]) -> None:
        layout = struct.Struct("<" + "".join(scalar.code for scalar in scalars))
        self.unpack_from = layout.unpack_from
        self.size = layout.size
        self.mapped = [
            (index, scalar.members)
            for index, scalar in enumerate(scalars)
            if scalar.members is not None
        ]

    def read(self, data: bytes, offset: int, values: list[Any]) -> int:
        """Append the run's values; return the offset after it. IndexError: bad variant."""
        run = self.unpack_from(data, offset)
        if self.mapped:
            start = len(values)
            values.extend(run)
            for index, members in self.mapped:
                values[start + index] = members[run[index]]
        else:
            values.extend(run)
        return offset + self.size


class _Option:
    """A tag byte, followed by the value if the tag is 1."""

    def __init__(self, scalar: Scalar) -> None:
        self.run = _Run([scalar])
        self.size = self.run.size

    def read(self, data: bytes, offset: int, values: list[Any]) -> int:
        """Append the value or None; return the offset after it. IndexError: bad tag."""
        tag = data[offset]
        if tag == 1:
            return self.run.read(data, offset + 1, values)
        if tag:
            raise IndexError
        values.append(None)
        return offset + 1


class Codec(Generic[T]):
    """Decodes and encodes one struct type that follows its discriminator.

    ``fields`` is the wire order. Every field must be one of ``cls``; fields of ``cls`` that the
    layout lacks are None when decoded.
    """

    def __init__(
        self, cls: type[T], fields: Sequence[Field], discriminator: bytes, enums: Enums = NO_ENUMS
    ) -> None:
        self.cls = cls
        self.discriminator = discriminator
        self.names = tuple(field.name for field in fields)
        if unknown := set(self.names) - set(cls.__struct_fields__):
            raise IdlError(f"{cls.__name__} lacks the fields {sorted(unknown)}")
        # Positional construction is faster; it needs every field in wire order.
        self._in_order = cls.__struct_fields__ == self.names
        self._absent = dict.fromkeys(set(cls.__struct_fields__) - set(self.names))
        self._writers: list[tuple[str, Scalar, bool]] = []
        self._offsets: dict[str, int] = {}
        self._parts: list[_Run | _Option] = []
        run: list[Scalar] = []
        offset: int | None = len(discriminator)
        for field in fields:
            if offset is not None:
                self._offsets[field.name] = offset
            kind = field.type
            if not isinstance(kind, str) and kind.option is not None:
                if run:
                    self._parts.append(_Run(run))
                    run = []
                scalar = _scalar(kind.option, enums)
                self._parts.append(_Option(scalar))
                self._writers.append((field.name, scalar, True))
                offset = None
            else:
                scalar = _scalar(kind, enums)
                run.append(scalar)
                self._writers.append((field.name, scalar, False))
                offset = None if offset is None else offset + scalar.size
        if run:
            self._parts.append(_Run(run))
        self.lengths = self._possible_lengths()

    def _possible_lengths(self) -> tuple[int, ...]:
        """Return every total length in bytes, discriminator included, shortest first."""
        choices = [
            (1, 1 + part.size) if isinstance(part, _Option) else (part.size,)
            for part in self._parts
        ]
        return tuple(sorted({len(self.discriminator) + sum(pick) for pick in product(*choices)}))

    def offset(self, name: str) -> int:
        """Return a field's offset from the discriminator; KeyError where it varies."""
        return self._offsets[name]

    def read(self, data: bytes) -> tuple[T, int]:
        """Return the value after the discriminator and the total length, or raise DecodeError."""
        offset = len(self.discriminator)
        values: list[Any] = []
        try:
            for part in self._parts:
                offset = part.read(data, offset, values)
        except struct.error:
            raise DecodeError(f"{self.cls.__name__}: has only {len(data)} bytes") from None
        except IndexError:
            raise DecodeError(
                f"{self.cls.__name__}: invalid bool, option tag or variant near byte {offset}"
            ) from None
        if self._in_order:
            return self.cls(*values), offset
        named = dict(zip(self.names, values, strict=True))
        return self.cls(**named, **self._absent), offset

    def exact_reader(self) -> Callable[[bytes], T]:
        """Return a reader for bytes that hold the value and nothing else.

        The caller has compared the discriminator. For structs without options and without
        mapped bytes other than bool, the reader is one unpack and one construction.
        """
        if len(self._parts) == 1 and isinstance(self._parts[0], _Run) and self._in_order:
            mapped = self._parts[0].mapped
            if all(members == (False, True) for _, members in mapped):
                return self._direct_reader()

        def read(data: bytes) -> T:
            value, length = self.read(data)
            if length != len(data):
                raise DecodeError(f"{self.cls.__name__}: has {len(data)} bytes, must have {length}")
            return value

        return read

    def _direct_reader(self) -> Callable[[bytes], T]:
        cls, name = self.cls, self.cls.__name__
        codes = "".join(
            "?" if scalar.members is not None else scalar.code for _, scalar, _ in self._writers
        )
        unpack = struct.Struct(f"<{len(self.discriminator)}x{codes}").unpack
        flags = tuple(
            self._offsets[field] for field, scalar, _ in self._writers if scalar.members is not None
        )

        def read(data: bytes) -> T:
            for flag in flags:
                if data[flag] > 1:
                    raise DecodeError(f"{name}: the bool at byte {flag} is {data[flag]}")
            return cls(*unpack(data))

        return read

    def encode(self, value: T) -> bytes:
        """Return discriminator and fields; EncodeError names a field that does not fit."""
        pieces = [self.discriminator]
        for name, scalar, optional in self._writers:
            item = getattr(value, name)
            try:
                if not optional:
                    pieces.append(scalar.pack(item))
                elif item is None:
                    pieces.append(b"\0")
                else:
                    pieces.append(b"\1" + scalar.pack(item))
            except EncodeError as error:
                raise EncodeError(f"{self.cls.__name__}.{name}: {error}") from None
        return b"".join(pieces)
