"""Raw transactions as webhooks and RPC deliver them, brought to one shape.

Helius' raw webhook sends an array of transactions, RPC's ``getTransaction`` one; both in
the ``json`` encoding with the same fields, except that the place in the block is called
``indexWithinBlock`` there and ``transactionIndex`` here (Agave 4.0 and later). Only what
the ledger needs is read; everything read is checked, and what does not fit raises
PayloadError with the field's path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, NoReturn

import msgspec
from msgspec import Meta
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.chain import base58

MAX_TRANSACTIONS: Final = 10_000


class PayloadError(ValueError):
    """A payload that is not what its sender documents; the message leads with the field."""


class ProgramInstruction(msgspec.Struct, frozen=True):
    """An instruction of our program.

    ``index`` is the outer instruction's place; ``inner_index`` the place among those it
    caused by CPI, None where it is the outer one itself. ``accounts`` are 32-byte keys.
    """

    index: int
    inner_index: int | None
    accounts: list[bytes]
    data: bytes


class RawTransaction(msgspec.Struct, frozen=True):
    """One transaction as executed.

    ``error`` is None for success, else the cluster's error as JSON gives it;
    ``block_time`` Unix seconds as estimated by the cluster; ``fee`` lamports;
    ``instructions`` only those of our program, in execution order.
    """

    signature: bytes
    slot: int
    index_in_block: int | None
    block_time: int | None
    error: Any
    fee: int | None
    logs: list[str]
    instructions: list[ProgramInstruction]


_Unsigned = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Index = Annotated[int, Meta(ge=0, le=255)]
_Seconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Keys = Annotated[list[str], Meta(max_length=256)]


class _Instruction(msgspec.Struct, gc=False, rename="camel"):
    program_id_index: _Index
    accounts: Annotated[list[_Index], Meta(max_length=256)]
    data: str


class _Inner(msgspec.Struct, gc=False):
    index: _Index
    instructions: Annotated[list[_Instruction], Meta(max_length=1024)]


class _Loaded(msgspec.Struct, gc=False):
    writable: _Keys
    readonly: _Keys


class _Message(msgspec.Struct, gc=False, rename="camel"):
    account_keys: _Keys
    instructions: Annotated[list[_Instruction], Meta(max_length=256)]
    address_table_lookups: list[msgspec.Raw] | None = None


class _Signed(msgspec.Struct, gc=False):
    signatures: Annotated[list[str], Meta(min_length=1, max_length=256)]
    message: _Message


class _Outcome(msgspec.Struct, gc=False, rename="camel"):
    err: Any
    log_messages: Annotated[list[str], Meta(max_length=20_000)]
    fee: _Unsigned | None = None
    inner_instructions: Annotated[list[_Inner], Meta(max_length=256)] | None = None
    loaded_addresses: _Loaded | None = None


class _Transaction(msgspec.Struct, gc=False, rename="camel"):
    slot: _Unsigned
    transaction: _Signed
    meta: _Outcome
    block_time: _Seconds | None = None
    index_within_block: _Unsigned | None = None
    transaction_index: _Unsigned | None = None


_one: Final = msgspec.json.Decoder(_Transaction)
_many: Final = msgspec.json.Decoder(
    Annotated[list[_Transaction], Meta(max_length=MAX_TRANSACTIONS)]
)
_raw: Final = msgspec.json.Decoder(list[msgspec.Raw])
_JSON_ERRORS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class _Context:
    """What is shared while one payload is read: the program and keys decoded so far."""

    def __init__(self, program: Pubkey) -> None:
        self.program = str(program)
        self.keys: dict[str, bytes] = {}

    def key(self, text: str, path: str) -> bytes:
        """The 32 bytes of an address."""
        key = self.keys.get(text)
        if key is None:
            try:
                key = bytes(Pubkey.from_string(text))
            except ValueError:
                raise PayloadError(f"{path}: not a base58 address") from None
            self.keys[text] = key
        return key


def from_helius(body: bytes, program: Pubkey) -> list[RawTransaction]:
    """The transactions of a raw webhook body: a JSON array, or one object.

    Raises PayloadError, e.g. ``[3].transaction.signatures[0]: not a base58 signature``.
    """
    body = _storable(body)
    if body.lstrip()[:1] == b"{":
        return [_read_one(body, program)]
    try:
        transactions = _many.decode(body)
    except _JSON_ERRORS as error:
        _blame_element(body, error)
    context = _Context(program)
    return [_raw_transaction(t, context, f"[{i}].") for i, t in enumerate(transactions)]


def from_rpc(result: bytes | dict[str, Any], program: Pubkey) -> RawTransaction:
    """The transaction in the ``result`` of ``getTransaction`` (encoding ``json``).

    ``result`` is the JSON text or the object parsed from it. Raises PayloadError.
    """
    body = result if isinstance(result, bytes) else msgspec.json.encode(result)
    return _read_one(_storable(body), program)


def _read_one(body: bytes, program: Pubkey) -> RawTransaction:
    try:
        transaction = _one.decode(body)
    except _JSON_ERRORS as error:
        raise PayloadError(_located(error)) from None
    return _raw_transaction(transaction, _Context(program), "")


_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def _storable(body: bytes) -> bytes:
    """The body without NUL characters, which a program may log and Postgres cannot store."""
    if b"\\u0000" in body:
        return _NUL.sub(rb"\1\\ufffd", body)
    return body


def _located(error: Exception, prefix: str = "") -> str:
    """msgspec's message with the field's path in front."""
    if isinstance(error, RecursionError):
        return f"{prefix or 'body'}: nested too deeply"
    message, _, path = str(error).partition(" - at `$")
    path = prefix + path.rstrip("`").replace("[...]", "[]")
    return f"{path.lstrip('.') or 'body'}: {message}"


def _blame_element(body: bytes, error: Exception) -> NoReturn:
    """Name the array element that is wrong, which msgspec's path leaves out."""
    try:
        elements = _raw.decode(body)
    except _JSON_ERRORS:
        raise PayloadError(_located(error)) from None
    if len(elements) > MAX_TRANSACTIONS:
        raise PayloadError(f"body: more than {MAX_TRANSACTIONS} transactions")
    for index, element in enumerate(elements):
        try:
            _one.decode(element)
        except _JSON_ERRORS as fault:
            raise PayloadError(_located(fault, f"[{index}]")) from None
    raise PayloadError(_located(error))


def _raw_transaction(source: _Transaction, context: _Context, path: str) -> RawTransaction:
    meta = source.meta
    try:
        signature = bytes(Signature.from_string(source.transaction.signatures[0]))
    except ValueError:
        raise PayloadError(f"{path}transaction.signatures[0]: not a base58 signature") from None
    place = source.index_within_block
    return RawTransaction(
        signature,
        source.slot,
        source.transaction_index if place is None else place,
        source.block_time,
        meta.err,
        meta.fee,
        meta.log_messages,
        _instructions(source, context, path),
    )


def _instructions(source: _Transaction, context: _Context, path: str) -> list[ProgramInstruction]:
    message, meta = source.transaction.message, source.meta
    keys = message.account_keys
    if meta.loaded_addresses is not None:
        keys = keys + meta.loaded_addresses.writable + meta.loaded_addresses.readonly
    elif message.address_table_lookups:
        # Some nodes leave the field out; the accounts of such a transaction are unknown.
        raise PayloadError(f"{path}meta.loadedAddresses: missing, the message has lookups")
    inner: dict[int, list[_Instruction]] = {}
    for group in meta.inner_instructions or ():
        if group.index >= len(message.instructions):
            raise PayloadError(f"{path}meta.innerInstructions[]: index {group.index} has no outer")
        inner.setdefault(group.index, []).extend(group.instructions)
    if context.program not in keys:
        return []
    found: list[ProgramInstruction] = []
    for index, outer in enumerate(message.instructions):
        where = f"{path}transaction.message.instructions[{index}]"
        found += _ours([(None, outer)], index, keys, context, where)
        if index in inner:
            where = f"{path}meta.innerInstructions[].instructions[]"
            found += _ours(enumerate(inner[index]), index, keys, context, where)
    return found


def _ours(
    instructions: Iterable[tuple[int | None, _Instruction]],
    index: int,
    keys: list[str],
    context: _Context,
    path: str,
) -> list[ProgramInstruction]:
    found = []
    for inner_index, instruction in instructions:
        try:
            if keys[instruction.program_id_index] != context.program:
                continue
            accounts = [
                context.key(keys[place], f"{path}.accounts[]") for place in instruction.accounts
            ]
        except IndexError:
            raise PayloadError(f"{path}: refers to an account that is not listed") from None
        try:
            data = base58.decode(instruction.data)
        except ValueError as error:
            raise PayloadError(f"{path}.data: {error}") from None
        found.append(ProgramInstruction(index, inner_index, accounts, data))
    return found
