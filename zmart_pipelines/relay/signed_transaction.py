"""Which signed transactions are relayed: those of our program alone, complete and verified. Pure.

The chain would refuse a malformed or unsigned transaction, too. It is refused here so that nothing
is stored or sent for it, and with a reason that names what is wrong.
"""

from __future__ import annotations

from typing import Final

import msgspec
from solders.pubkey import Pubkey
from solders.transaction import SanitizeError, VersionedTransaction

from zmart_pipelines.program.calls import decode_instruction
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.ids import COMPUTE_BUDGET, MEMO_PROGRAM, SYSTEM_PROGRAM

# The size of a packet; the network drops longer transactions.
MAX_BYTES: Final = 1232
# Programs that may stand beside ours: they set the fee, or write a text into the log.
COMPANIONS: Final = frozenset({COMPUTE_BUDGET, MEMO_PROGRAM})

# ``SystemInstruction::AdvanceNonceAccount``, a little-endian u32.
_ADVANCE_NONCE: Final = (4).to_bytes(4, "little")


class NotRelayed(ValueError):
    """The transaction is not one that is relayed; the text says why, for people."""


class SignedTransaction(msgspec.Struct, frozen=True):
    """A transaction that may be relayed.

    Attributes:
        data: Its bytes as they are sent.
        signature: The fee payer's, 64 bytes, which identifies it.
        fee_payer: The wallet (32 bytes) that signed first and pays.
        instructions: Names of our program's instructions, in order.
    """

    data: bytes
    signature: bytes
    fee_payer: bytes
    instructions: tuple[str, ...]


def parse_signed(data: bytes, program: Pubkey) -> SignedTransaction:
    """Return the transaction in these bytes.

    Raises:
        NotRelayed: They are no complete, signed transaction of ``program``.
    """
    if len(data) > MAX_BYTES:
        raise NotRelayed(f"must have at most {MAX_BYTES} bytes, not {len(data)}")
    transaction = _decode(data)
    _require_sound(transaction)
    names = _instructions(transaction, program)
    if not all(transaction.verify_with_results()):
        raise NotRelayed("a required signature is missing or does not match the message")
    return SignedTransaction(
        data=data,
        signature=bytes(transaction.signatures[0]),
        fee_payer=bytes(transaction.message.account_keys[0]),
        instructions=names,
    )


def _decode(data: bytes) -> VersionedTransaction:
    try:
        transaction = VersionedTransaction.from_bytes(data)
    except ValueError as error:
        raise NotRelayed(
            "must be a serialized transaction, legacy or of version 0, with its signatures"
        ) from error
    if bytes(transaction) != data:
        raise NotRelayed("must be one serialized transaction, with no bytes after it")
    return transaction


def _require_sound(transaction: VersionedTransaction) -> None:
    """Raise NotRelayed where indexes or the number of signatures are impossible."""
    try:
        transaction.sanitize()
    except SanitizeError as error:
        raise NotRelayed(f"its accounts or signatures are inconsistent: {error}") from error
    if getattr(transaction.message, "address_table_lookups", None):
        raise NotRelayed("must name its accounts itself, without address lookup tables")


def _instructions(transaction: VersionedTransaction, program: Pubkey) -> tuple[str, ...]:
    """Return the names of our instructions; raise NotRelayed for one of another program."""
    keys = transaction.message.account_keys
    names: list[str] = []
    for number, instruction in enumerate(transaction.message.instructions):
        called = keys[instruction.program_id_index]
        data = bytes(instruction.data)
        if called == program:
            names.append(_name(number, data))
        elif called == SYSTEM_PROGRAM and data.startswith(_ADVANCE_NONCE):
            raise NotRelayed("must have a recent blockhash, not a durable nonce, to expire")
        elif called not in COMPANIONS:
            raise NotRelayed(
                f"instruction {number} is of program {called}; only those of {program}, the"
                " compute budget and memos are relayed"
            )
    if not names:
        raise NotRelayed(f"has no instruction of program {program}")
    return tuple(names)


def _name(number: int, data: bytes) -> str:
    try:
        return decode_instruction(data).name
    except DecodeError as error:
        raise NotRelayed(f"instruction {number} is none of the program's: {error}") from error
