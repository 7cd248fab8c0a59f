"""Raw transactions as webhooks and RPC deliver them, brought to one shape.

Helius' raw webhook sends an array of transactions, RPC's ``getTransaction`` one; both in
the ``json`` encoding with the same fields, except that the place in the block is called
``indexWithinBlock`` there and ``transactionIndex`` here (Agave 4.0 and later). Only what
the ledger needs is read; everything read is checked, and what does not fit raises
PayloadError with the field's path.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines import base58

MAX_TRANSACTIONS: Final = 10_000


class PayloadError(ValueError):
    """A payload that is not what its sender documents; the message leads with the field."""


class ProgramInstruction(msgspec.Struct, frozen=True, gc=False):
    """An instruction of our program.

    ``index`` is the outer instruction's place; ``inner_index`` the place among those it
    caused by CPI, None where it is the outer one itself. ``accounts`` are addresses, as
    base58 like the sender has them: nearly all of them are only kept for people to read.
    """

    index: int
    inner_index: int | None
    accounts: list[str]
    data: bytes


class RawTransaction(msgspec.Struct, frozen=True, gc=False):
    """One transaction as executed.

    ``signature_text`` is its signature in base58; ``error`` None for success, else the
    cluster's error as JSON gives it; ``block_time`` Unix seconds as estimated by the cluster;
    ``fee`` lamports; ``instructions`` only those of our program, in execution order.
    """

    signature_text: str
    slot: int
    index_in_block: int | None
    block_time: int | None
    error: Any
    fee: int | None
    logs: list[str]
    instructions: list[ProgramInstruction]

    @property
    def signature(self) -> bytes:
        """The signature's 64 bytes, read anew each time."""
        return bytes(Signature.from_string(self.signature_text))


_Unsigned = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Index = Annotated[int, Meta(ge=0, le=255)]
_Seconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Listed = Annotated[list[str], Meta(max_length=256)]


class _Instruction(msgspec.Struct, gc=False, rename="camel"):
    program_id_index: _Index
    accounts: Annotated[list[_Index], Meta(max_length=256)]
    data: str


class _Inner(msgspec.Struct, gc=False):
    index: _Index
    instructions: Annotated[list[_Instruction], Meta(max_length=1024)]


class _Loaded(msgspec.Struct, gc=False):
    writable: _Listed
    readonly: _Listed


class _Message(msgspec.Struct, gc=False, rename="camel"):
    account_keys: _Listed
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
_JSON_ERRORS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class _Addresses(dict[str, str]):
    """Texts of one payload that are addresses; most of them recur. ValueError where not."""

    def __missing__(self, text: str) -> str:
        if not base58.is_key(text):
            raise ValueError
        self[text] = text
        return text


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
        raise PayloadError(_located(error)) from None
    ours, known = str(program), _Addresses()
    found: list[RawTransaction] = []
    for number, transaction in enumerate(transactions):
        try:
            found.append(_raw_transaction(transaction, ours, known))
        except PayloadError as error:
            raise PayloadError(f"[{number}].{error}") from None
    return found


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
    return _raw_transaction(transaction, str(program), _Addresses())


_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def _storable(body: bytes) -> bytes:
    """The body without NUL characters, which a program may log and Postgres cannot store."""
    # Most bodies hold no backslash at all, which is found out several times faster.
    if b"\\" in body and b"\\u0000" in body:
        return _NUL.sub(rb"\1\\ufffd", body)
    return body


def _located(error: Exception) -> str:
    """msgspec's message with the field's path in front."""
    if isinstance(error, RecursionError):
        return "body: nested too deeply"
    message, _, path = str(error).partition(" - at `$")
    return f"{path.rstrip('`').lstrip('.') or 'body'}: {message}"


def _raw_transaction(source: _Transaction, ours: str, known: _Addresses) -> RawTransaction:
    meta, signature = source.meta, source.transaction.signatures[0]
    if not base58.is_signature(signature):
        raise PayloadError("transaction.signatures[0]: not a base58 signature")
    place = source.index_within_block
    return RawTransaction(
        signature,
        source.slot,
        source.transaction_index if place is None else place,
        source.block_time,
        meta.err,
        meta.fee,
        meta.log_messages,
        _instructions(source, ours, known),
    )


def _instructions(source: _Transaction, ours: str, known: _Addresses) -> list[ProgramInstruction]:
    message, meta = source.transaction.message, source.meta
    listed = message.account_keys
    loaded = meta.loaded_addresses
    if loaded is None:
        if message.address_table_lookups:
            # Some nodes leave the field out; the accounts of such a transaction are unknown.
            raise PayloadError("meta.loadedAddresses: missing, the message has lookups")
    elif loaded.writable or loaded.readonly:
        listed = listed + loaded.writable + loaded.readonly
    try:
        program = listed.index(ours)
    except ValueError:
        return []
    found: list[ProgramInstruction] = []
    index = 0
    try:
        for index, outer in enumerate(message.instructions):
            if outer.program_id_index == program:
                found.append(ProgramInstruction(index, None, *_contents(outer, listed, known)))
    except PayloadError as error:
        raise PayloadError(f"transaction.message.instructions[{index}]{error}") from None
    called = False
    for number, group in enumerate(meta.inner_instructions or ()):
        if group.index >= len(message.instructions):
            raise PayloadError(f"meta.innerInstructions[{number}].index: no such instruction")
        for inner in group.instructions:
            if inner.program_id_index == program:
                called = True
    if called:
        found += _inner_instructions(meta.inner_instructions or [], program, listed, known)
        # Execution order: an instruction runs before those it calls.
        found.sort(key=lambda i: (i.index, -1 if i.inner_index is None else i.inner_index))
    return found


def _inner_instructions(
    groups: list[_Inner], program: int, listed: list[str], known: _Addresses
) -> list[ProgramInstruction]:
    found: list[ProgramInstruction] = []
    seen: dict[int, int] = {}
    for number, group in enumerate(groups):
        index, place = group.index, 0
        start = seen.get(index, 0)
        seen[index] = start + len(group.instructions)
        try:
            for place, inner in enumerate(group.instructions):
                if inner.program_id_index == program:
                    contents = _contents(inner, listed, known)
                    found.append(ProgramInstruction(index, start + place, *contents))
        except PayloadError as error:
            path = f"meta.innerInstructions[{number}].instructions[{place}]"
            raise PayloadError(f"{path}{error}") from None
    return found


def _contents(
    instruction: _Instruction, listed: list[str], known: _Addresses
) -> tuple[list[str], bytes]:
    """Accounts and data. PayloadError leads with ``.accounts`` or ``.data``."""
    try:
        return (
            list(map(known.__getitem__, map(listed.__getitem__, instruction.accounts))),
            base58.decode(instruction.data),
        )
    except IndexError:
        fault = ".accounts: one of them is not listed"
    except base58.Base58Error as error:
        fault = f".data: {error}"
    except ValueError:
        fault = ".accounts: not a base58 address"
    raise PayloadError(fault)
