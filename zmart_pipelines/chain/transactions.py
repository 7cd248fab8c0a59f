"""Raw transactions as webhooks and RPC deliver them, converted to one type.

Helius' raw webhook sends an array of transactions, RPC's ``getTransaction`` returns one; both
use the ``json`` encoding with the same fields, except that the index in the block is called
``indexWithinBlock`` by Helius and ``transactionIndex`` by RPC (Agave 4.0 and later). Only what
the ledger needs is decoded and checked; an invalid field raises PayloadError with its path.

Version 1 (SIMD-0385) names every address in the message and moves the compute budget there; its
other fields are those of version 0, so that one decoder reads all versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines import base58

MAX_TRANSACTIONS: Final = 10_000
# The newest version that is decoded, and requested from nodes.
MAX_TRANSACTION_VERSION: Final = 1
# Programs that write no line when they run: the precompiles, and the compute budget in old blocks.
_SILENT_PROGRAMS: Final = frozenset(
    {
        "Ed25519SigVerify111111111111111111111111111",
        "KeccakSecp256k11111111111111111111111111111",
        "Secp256r1SigVerify1111111111111111111111111",
        "ComputeBudget111111111111111111111111111111",
    }
)


class PayloadError(ValueError):
    """A payload that differs from its sender's documentation; the text starts with the field."""


class UnsupportedVersion(PayloadError):
    """A transaction of a version that is newer than ``MAX_TRANSACTION_VERSION``."""


class ProgramInstruction(msgspec.Struct, frozen=True, gc=False):
    """An instruction of our program.

    Attributes:
        index: index of the outer instruction.
        inner_index: index among the instructions it invoked by CPI; None for the outer one.
        accounts: addresses in base58 as received, since nearly all are only kept for display.
    """

    index: int
    inner_index: int | None
    accounts: list[str]
    data: bytes


class RawTransaction(msgspec.Struct, frozen=True, gc=False):
    """One transaction as executed.

    Attributes:
        signature_text: its signature in base58.
        block_time: Unix seconds as estimated by the cluster.
        error: None for success, else the cluster's error as in JSON.
        fee: lamports.
        logs: empty where the sender has none.
        instructions: only those of our program, in execution order.
        names_program: whether our program is among the transaction's addresses.
        log_is_missing: whether there is no log although programs ran that write one.
    """

    signature_text: str
    slot: int
    index_in_block: int | None
    block_time: int | None
    error: Any
    fee: int | None
    logs: list[str]
    instructions: list[ProgramInstruction]
    names_program: bool = True
    log_is_missing: bool = False

    @property
    def signature(self) -> bytes:
        """The signature's 64 bytes, decoded on each access."""
        return bytes(Signature.from_string(self.signature_text))


_Unsigned = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Index = Annotated[int, Meta(ge=0, le=255)]
_Seconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Addresses = Annotated[list[str], Meta(max_length=256)]


class _Instruction(msgspec.Struct, gc=False, rename="camel"):
    program_id_index: _Index
    accounts: Annotated[list[_Index], Meta(max_length=256)]
    data: str


class _Inner(msgspec.Struct, gc=False):
    index: _Index
    instructions: Annotated[list[_Instruction], Meta(max_length=1024)]


class _Loaded(msgspec.Struct, gc=False):
    writable: _Addresses
    readonly: _Addresses


class _Message(msgspec.Struct, gc=False, rename="camel"):
    account_keys: _Addresses
    instructions: Annotated[list[_Instruction], Meta(max_length=256)]
    address_table_lookups: list[msgspec.Raw] | None = None


class _SignedMessage(msgspec.Struct, gc=False):
    signatures: Annotated[list[str], Meta(min_length=1, max_length=256)]
    message: _Message


class _Meta(msgspec.Struct, gc=False, rename="camel"):
    err: Any
    log_messages: Annotated[list[str], Meta(max_length=20_000)] | None = None
    fee: _Unsigned | None = None
    inner_instructions: Annotated[list[_Inner], Meta(max_length=256)] | None = None
    loaded_addresses: _Loaded | None = None


class _Transaction(msgspec.Struct, gc=False, rename="camel"):
    slot: _Unsigned
    transaction: _SignedMessage
    meta: _Meta
    version: int | Literal["legacy"] | None = None
    block_time: _Seconds | None = None
    index_within_block: _Unsigned | None = None
    transaction_index: _Unsigned | None = None


_transaction_decoder: Final = msgspec.json.Decoder(_Transaction)
_array_decoder: Final = msgspec.json.Decoder(
    Annotated[list[_Transaction], Meta(max_length=MAX_TRANSACTIONS)]
)
_JSON_ERRORS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class _KnownAddresses(dict[str, str]):
    """Checked addresses of one payload, most of which recur. ValueError for other texts."""

    def __missing__(self, text: str) -> str:
        if not base58.is_key(text):
            raise ValueError
        self[text] = text
        return text


def from_helius(body: bytes, program: Pubkey) -> list[RawTransaction]:
    """Return the transactions of a raw webhook body: a JSON array, or one object.

    Raises:
        PayloadError: e.g. ``[3].transaction.signatures[0]: not a base58 signature``.
    """
    body = _storable(body)
    if body.lstrip()[:1] == b"{":
        return [_decode_one(body, program)]
    try:
        transactions = _array_decoder.decode(body)
    except _JSON_ERRORS as error:
        raise PayloadError(_located(error)) from None
    program_text, known = str(program), _KnownAddresses()
    found: list[RawTransaction] = []
    for number, transaction in enumerate(transactions):
        try:
            found.append(_raw_transaction(transaction, program_text, known))
        except PayloadError as error:
            raise PayloadError(f"[{number}].{error}") from None
    return found


def from_rpc(result: bytes | dict[str, Any], program: Pubkey) -> RawTransaction:
    """Return the transaction in the ``result`` of ``getTransaction`` (encoding ``json``).

    ``result`` is the JSON text or the object parsed from it.

    Raises:
        PayloadError: the result differs from what is documented.
    """
    body = result if isinstance(result, bytes) else msgspec.json.encode(result)
    return _decode_one(_storable(body), program)


def _decode_one(body: bytes, program: Pubkey) -> RawTransaction:
    try:
        transaction = _transaction_decoder.decode(body)
    except _JSON_ERRORS as error:
        raise PayloadError(_located(error)) from None
    return _raw_transaction(transaction, str(program), _KnownAddresses())


_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def _storable(body: bytes) -> bytes:
    """Replace NUL characters, which a program may log and Postgres cannot store."""
    # Most bodies hold no backslash at all; checking that first is several times faster.
    if b"\\" in body and b"\\u0000" in body:
        return _NUL.sub(rb"\1\\ufffd", body)
    return body


def _located(error: Exception) -> str:
    """Return msgspec's message with the field's path in front."""
    if isinstance(error, RecursionError):
        return "body: nested too deeply"
    message, _, path = str(error).partition(" - at `$")
    return f"{path.rstrip('`').lstrip('.') or 'body'}: {message}"


def _raw_transaction(source: _Transaction, program: str, known: _KnownAddresses) -> RawTransaction:
    meta, signature = source.meta, source.transaction.signatures[0]
    if not base58.is_signature(signature):
        raise PayloadError("transaction.signatures[0]: not a base58 signature")
    version = source.version
    if version is not None and version != "legacy" and not 0 <= version <= MAX_TRANSACTION_VERSION:
        raise UnsupportedVersion(
            f"version: {version} cannot be decoded, the newest that can be is "
            f"{MAX_TRANSACTION_VERSION}"
        )
    index = source.index_within_block
    addresses = _all_addresses(source.transaction.message, meta)
    try:
        program_index = addresses.index(program)
    except ValueError:
        program_index = None
    return RawTransaction(
        signature,
        source.slot,
        source.transaction_index if index is None else index,
        source.block_time,
        meta.err,
        meta.fee,
        meta.log_messages or [],
        [] if program_index is None else _instructions(source, program_index, addresses, known),
        program_index is not None,
        not meta.log_messages and _writes_log(source.transaction.message),
    )


def _writes_log(message: _Message) -> bool:
    """Return whether an instruction of the message is of a program that writes a log."""
    keys = message.account_keys
    return any(
        outer.program_id_index >= len(keys) or keys[outer.program_id_index] not in _SILENT_PROGRAMS
        for outer in message.instructions
    )


def _instructions(
    source: _Transaction, program_index: int, addresses: list[str], known: _KnownAddresses
) -> list[ProgramInstruction]:
    message, meta = source.transaction.message, source.meta
    found = _outer_instructions(message.instructions, program_index, addresses, known)
    groups = meta.inner_instructions or []
    if _has_inner_instruction(groups, program_index, len(message.instructions)):
        found += _inner_instructions(groups, program_index, addresses, known)
        # Execution order: an instruction runs before those it invokes.
        found.sort(key=lambda i: (i.index, -1 if i.inner_index is None else i.inner_index))
    return found


def _all_addresses(message: _Message, meta: _Meta) -> list[str]:
    """Return the message's addresses, then those loaded from lookup tables."""
    loaded = meta.loaded_addresses
    if loaded is None:
        if message.address_table_lookups:
            # Some nodes omit the field; the accounts of such a transaction are unknown.
            raise PayloadError("meta.loadedAddresses: missing although the message has lookups")
        return message.account_keys
    if loaded.writable or loaded.readonly:
        return message.account_keys + loaded.writable + loaded.readonly
    return message.account_keys


def _outer_instructions(
    instructions: list[_Instruction],
    program_index: int,
    addresses: list[str],
    known: _KnownAddresses,
) -> list[ProgramInstruction]:
    found: list[ProgramInstruction] = []
    index = 0
    try:
        for index, outer in enumerate(instructions):
            if outer.program_id_index == program_index:
                found.append(ProgramInstruction(index, None, *_contents(outer, addresses, known)))
    except PayloadError as error:
        raise PayloadError(f"transaction.message.instructions[{index}]{error}") from None
    return found


def _has_inner_instruction(groups: list[_Inner], program_index: int, outer_count: int) -> bool:
    """Return whether the program was invoked by CPI; check the index of every group."""
    invoked = False
    for number, group in enumerate(groups):
        if group.index >= outer_count:
            raise PayloadError(f"meta.innerInstructions[{number}].index: no such instruction")
        for inner in group.instructions:
            if inner.program_id_index == program_index:
                invoked = True
    return invoked


def _inner_instructions(
    groups: list[_Inner], program_index: int, addresses: list[str], known: _KnownAddresses
) -> list[ProgramInstruction]:
    found: list[ProgramInstruction] = []
    # A node may split the inner instructions of one outer instruction into several groups.
    counts: dict[int, int] = {}
    for number, group in enumerate(groups):
        start = counts.get(group.index, 0)
        counts[group.index] = start + len(group.instructions)
        path = f"meta.innerInstructions[{number}].instructions"
        found += _group_instructions(group, start, program_index, addresses, known, path)
    return found


def _group_instructions(
    group: _Inner,
    start: int,
    program_index: int,
    addresses: list[str],
    known: _KnownAddresses,
    path: str,
) -> Iterator[ProgramInstruction]:
    for position, inner in enumerate(group.instructions):
        if inner.program_id_index != program_index:
            continue
        try:
            contents = _contents(inner, addresses, known)
        except PayloadError as error:
            raise PayloadError(f"{path}[{position}]{error}") from None
        yield ProgramInstruction(group.index, start + position, *contents)


def _contents(
    instruction: _Instruction, addresses: list[str], known: _KnownAddresses
) -> tuple[list[str], bytes]:
    """Return accounts and data. PayloadError starts with ``.accounts`` or ``.data``."""
    try:
        return (
            list(map(known.__getitem__, map(addresses.__getitem__, instruction.accounts))),
            base58.decode(instruction.data),
        )
    except IndexError:
        fault = ".accounts: an index is beyond the transaction's addresses"
    except base58.Base58Error as error:
        fault = f".data: {error}"
    except ValueError:
        fault = ".accounts: not a base58 address"
    raise PayloadError(fault)
