"""The program's interface definition: loaded, checked, and converted for anchorpy."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from anchorpy_core.idl import Idl as LegacyIdl

IDL_FILE: Final = Path(__file__).with_name("zmart_core.json")


class IdlError(ValueError):
    """The interface definition contradicts itself."""


class DefinedName(msgspec.Struct, frozen=True):
    """A reference to one of the definition's own types."""

    name: str


class Compound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type that is not a plain name: exactly one of the fields is set."""

    array: tuple[str, int] | None = None
    option: str | None = None
    defined: DefinedName | None = None


IdlType = str | Compound


class Field(msgspec.Struct, frozen=True):
    """A named value: struct field or instruction argument."""

    name: str
    type: IdlType


class Variant(msgspec.Struct, frozen=True):
    """One variant of a field-less enum."""

    name: str


class TypeBody(msgspec.Struct, frozen=True):
    """The structure of a named type."""

    kind: str
    fields: tuple[Field, ...] = ()
    variants: tuple[Variant, ...] = ()


class TypeDefinition(msgspec.Struct, frozen=True):
    """A named type."""

    name: str
    type: TypeBody


class AccountMeta(msgspec.Struct, frozen=True):
    """An account of an instruction. ``address`` is set where it is fixed."""

    name: str
    writable: bool = False
    signer: bool = False
    address: str | None = None


class Instruction(msgspec.Struct, frozen=True):
    """An instruction: accounts and arguments in wire order."""

    name: str
    discriminator: tuple[int, ...]
    accounts: tuple[AccountMeta, ...]
    args: tuple[Field, ...]


class Named(msgspec.Struct, frozen=True):
    """An account type or event; its fields are listed under ``types``."""

    name: str
    discriminator: tuple[int, ...]


class ErrorCode(msgspec.Struct, frozen=True):
    """An error that the program defines."""

    code: int
    name: str
    msg: str


class Idl(msgspec.Struct, frozen=True):
    """The whole definition."""

    address: str
    instructions: tuple[Instruction, ...]
    accounts: tuple[Named, ...]
    events: tuple[Named, ...]
    errors: tuple[ErrorCode, ...]
    types: tuple[TypeDefinition, ...]

    def type(self, name: str) -> TypeBody:
        """Return the body of a named type; KeyError where the name is unknown."""
        for definition in self.types:
            if definition.name == name:
                return definition.type
        raise KeyError(name)


def discriminator(namespace: str, name: str) -> bytes:
    """Return Anchor's 8-byte discriminator: the first bytes of SHA-256 of ``namespace:name``.

    Namespaces: ``global`` (instructions, snake case), ``account``, ``event``.
    """
    return sha256(f"{namespace}:{name}".encode()).digest()[:8]


@cache
def load() -> Idl:
    """Return the definition, with every discriminator checked against its name.

    Codecs and anchorpy's legacy coders derive discriminators from names; the check ensures that
    both agree with the file.

    Raises:
        IdlError: a discriminator differs.
    """
    idl = msgspec.json.decode(IDL_FILE.read_bytes(), type=Idl)
    groups: tuple[tuple[str, tuple[Instruction | Named, ...]], ...] = (
        ("global", idl.instructions),
        ("account", idl.accounts),
        ("event", idl.events),
    )
    for namespace, entries in groups:
        for entry in entries:
            if bytes(entry.discriminator) != discriminator(namespace, entry.name):
                raise IdlError(
                    f"{namespace}:{entry.name}: the discriminator does not match the name"
                )
    return idl


def legacy() -> LegacyIdl:
    """Return the definition in the format of Anchor before 0.30, the only one anchorpy reads.

    It has camelCase names, ``publicKey``, ``isMut``/``isSigner``, and the fields of accounts and
    events outside ``types``. The names make anchorpy derive the same discriminators, which
    ``load`` has checked against the file.
    """
    from anchorpy_core.idl import Idl as LegacyIdl

    idl = load()
    moved = {entry.name for entry in (*idl.accounts, *idl.events)}
    document = {
        "version": "0.1.0",
        "name": "zmart_core",
        "instructions": [
            {
                "name": _camel(instruction.name),
                "accounts": [
                    {"name": _camel(a.name), "isMut": a.writable, "isSigner": a.signer}
                    for a in instruction.accounts
                ],
                "args": [_legacy_field(arg) for arg in instruction.args],
            }
            for instruction in idl.instructions
        ],
        "accounts": [
            {"name": account.name, "type": _legacy_struct(idl.type(account.name))}
            for account in idl.accounts
        ],
        "events": [
            {
                "name": event.name,
                "fields": [
                    {**_legacy_field(field), "index": False}
                    for field in idl.type(event.name).fields
                ],
            }
            for event in idl.events
        ],
        "types": [
            {"name": definition.name, "type": _legacy_enum(definition.type)}
            for definition in idl.types
            if definition.name not in moved
        ],
        "errors": [{"code": e.code, "name": e.name, "msg": e.msg} for e in idl.errors],
        "metadata": {"address": idl.address},
    }
    return LegacyIdl.from_json(msgspec.json.encode(document).decode())


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match.group(1).upper(), name)


def _legacy_type(kind: IdlType) -> Any:
    if isinstance(kind, str):
        return "publicKey" if kind == "pubkey" else kind
    if kind.array is not None:
        return {"array": list(kind.array)}
    if kind.option is not None:
        return {"option": _legacy_type(kind.option)}
    if kind.defined is not None:
        return {"defined": kind.defined.name}
    raise IdlError("a compound type without content")


def _legacy_field(field: Field) -> dict[str, Any]:
    return {"name": _camel(field.name), "type": _legacy_type(field.type)}


def _legacy_struct(body: TypeBody) -> dict[str, Any]:
    return {"kind": "struct", "fields": [_legacy_field(field) for field in body.fields]}


def _legacy_enum(body: TypeBody) -> dict[str, Any]:
    return {"kind": "enum", "variants": [{"name": variant.name} for variant in body.variants]}
