"""Decoding a raw transaction into a reading: the rows of the ledger. Pure.

Nothing is dropped: an event line that cannot be decoded, or whose instruction is missing,
becomes a quarantined event with the reason. What makes a reading incomplete becomes its gap.

A reading can also contradict itself. In a transaction that succeeded, each instruction of the
program wrote one frame into the log, and no program failed. A log without them was lost or cut
by the node, and says nothing about what the transaction did.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.program_logs import parse_logs, successful_frames
from zmart_pipelines.chain.transactions import ProgramInstruction, RawTransaction
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.calls import CreateMarket, FinalizeMarket, decode_instruction
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.events import (
    Event,
    MarketCreated,
    MarketFinalized,
    WinningsClaimed,
    decode_event,
    event_name,
)

LOGS_TRUNCATED: Final = "the log was truncated; later events are unknown"

# Index of the market among the accounts of finalize_market, after the configuration.
_FINALIZED_MARKET: Final = 1


class LedgerEvent(msgspec.Struct, frozen=True, gc=False):
    """One event line of a reading.

    Attributes:
        raw: the line's payload.
        event: the decoded payload; None if quarantined.
        market: address of the market it concerns; None for the program as a whole.
        market_id: the market's id if the event contains it.
        instruction: data of the instruction that emitted it, if folding needs it.
        quarantine_reason: why it could not be decoded.
    """

    log_index: int
    raw: bytes
    event: Event | None = None
    market: bytes | None = None
    market_id: bytes | None = None
    instruction: bytes | None = None
    quarantine_reason: str | None = None


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One source's account of one transaction, ready to be stored.

    Attributes:
        digest: 16 bytes that identify what was read: slot, outcome, logs, instructions.
        block_time: seconds since the epoch.
        error: JSON text; None if the transaction succeeded.
        fee: lamports.
        logs: the log lines as a JSON array.
        instructions: JSON text.
        gap: why the reading is incomplete; None if it is complete.
        gap_kind: the kind of that gap.
    """

    signature: bytes
    digest: bytes
    slot: int
    index_in_block: int | None
    block_time: int | None
    failed: bool
    error: str | None
    fee: int | None
    logs: bytes
    logs_truncated: bool
    instructions: str
    events: tuple[LedgerEvent, ...]
    gap: str | None
    gap_kind: Literal["incomplete", "contradictory"] = "incomplete"

    @property
    def completeness(self) -> tuple[bool, int]:
        """Orders readings of one transaction by how much they say."""
        return (True, 0) if self.gap is None else (False, len(self.events))

    @property
    def concerns_program(self) -> bool:
        """Whether it contains an event or an instruction of the program."""
        return bool(self.events) or self.instructions != "[]"


@lru_cache(maxsize=65_536)
def market_address_bytes(program: Pubkey, market_id: bytes) -> bytes:
    """Return the address of the market with this id."""
    return bytes(market_address(program, market_id)[0])


def decode(transaction: RawTransaction, program: Pubkey) -> Reading:
    """Decode a transaction. Events of a failed one have no effect and are left out."""
    logs = msgspec.json.encode(transaction.logs)
    instructions = _instructions_json(transaction.instructions)
    failed = transaction.error is not None
    events: tuple[LedgerEvent, ...] = ()
    gap = None
    truncated = False
    if failed:
        contradiction = _contradiction_of_failure(transaction, program)
    else:
        found = parse_logs(transaction.logs, str(program))
        truncated = found.truncated
        events = tuple(
            _event(index, payload, transaction.instructions, program)
            for index, payload in found.payloads
        )
        gap = _gap(found.faults, truncated, events)
        contradiction = found.failures[0] if found.failures else None
        if contradiction is None and not truncated and not found.faults:
            contradiction = _contradiction_of_frames(transaction, program)
    if contradiction is not None:
        gap = f"the reading contradicts itself: {contradiction}"
    return Reading(
        signature=transaction.signature,
        digest=_digest(transaction.slot, failed, logs, instructions),
        slot=transaction.slot,
        index_in_block=transaction.index_in_block,
        block_time=transaction.block_time,
        failed=failed,
        error=msgspec.json.encode(transaction.error).decode() if failed else None,
        fee=transaction.fee,
        logs=logs,
        logs_truncated=truncated,
        instructions=instructions.decode(),
        events=events,
        gap=gap,
        gap_kind="incomplete" if contradiction is None else "contradictory",
    )


def _contradiction_of_frames(transaction: RawTransaction, program: Pubkey) -> str | None:
    """Return how the log of a successful transaction differs from its instructions."""
    frames, expected = successful_frames(transaction.logs, str(program)), transaction.instructions
    if frames != len(expected):
        return f"{len(expected)} instructions of the program, and {frames} frames of it in the log"
    return "programs ran, and the log is empty" if transaction.log_is_missing else None


def _contradiction_of_failure(transaction: RawTransaction, program: Pubkey) -> str | None:
    """Return how the log of a failed transaction differs from its error.

    Only where an instruction of the program is said to have failed: other programs and the
    runtime itself may fail a transaction without a line.
    """
    logs = transaction.logs
    if not logs or not any(
        instruction.inner_index is None and instruction.index == _failed_index(transaction.error)
        for instruction in transaction.instructions
    ):
        return None
    prefix = f"Program {program} failed: "
    if any(line.startswith(prefix) or line == "Log truncated" for line in logs):
        return None
    return "an instruction of the program failed, and no frame of it did in the log"


def _failed_index(error: Any) -> int | None:
    """Return the index of the instruction that an error names, if any."""
    named = error.get("InstructionError") if isinstance(error, dict) else None
    if isinstance(named, list) and named and isinstance(named[0], int):
        return named[0]
    return None


def _digest(slot: int, failed: bool, logs: bytes, instructions: bytes) -> bytes:
    digest = blake2b(slot.to_bytes(8, "big") + bytes([failed]), digest_size=16)
    digest.update(len(logs).to_bytes(8, "big"))
    digest.update(logs)
    digest.update(instructions)
    return digest.digest()


def _instructions_json(instructions: list[ProgramInstruction]) -> bytes:
    return msgspec.json.encode(
        [
            {
                "index": instruction.index,
                "inner_index": instruction.inner_index,
                "accounts": instruction.accounts,
                "data": instruction.data.hex(),
            }
            for instruction in instructions
        ]
    )


def _gap(faults: list[str], truncated: bool, events: tuple[LedgerEvent, ...]) -> str | None:
    if truncated:
        return LOGS_TRUNCATED
    if faults:
        return f"the log is not well-formed: {faults[0]}"
    for event in events:
        if event.quarantine_reason is not None:
            return f"event at log line {event.log_index}: {event.quarantine_reason}"
    return None


def _event(
    log_index: int, raw: bytes, instructions: list[ProgramInstruction], program: Pubkey
) -> LedgerEvent:
    try:
        event = decode_event(raw)
        market_id = market_id_of(event)
        market = market_address_bytes(program, market_id) if market_id else None
        if isinstance(event, WinningsClaimed) and event.market is not None:
            market = event.market
        instruction = _emitting_instruction(event, instructions, program)
    except DecodeError as error:
        return LedgerEvent(log_index, raw, quarantine_reason=str(error))
    except Exception as error:  # a bug in the decoder must not block other markets
        return LedgerEvent(log_index, raw, quarantine_reason=f"{type(error).__name__}: {error}")
    return LedgerEvent(log_index, raw, event, market, market_id, instruction)


def market_id_of(event: Event) -> bytes | None:
    """Return the market id that an event contains; None if it names an address or no market."""
    return getattr(event, "market_id", None)


def _emitting_instruction(
    event: Event, instructions: list[ProgramInstruction], program: Pubkey
) -> bytes | None:
    """Return the data of the event's instruction, for events whose fold needs more than them.

    In a transaction that succeeded, every instruction did. A market is created and finalized
    once, so the market identifies the instruction.

    Raises:
        DecodeError: the instruction is needed and missing.
    """
    if isinstance(event, MarketCreated):
        found = _find_creation(event.market_id, instructions)
    elif isinstance(event, MarketFinalized):
        address = str(Pubkey(market_address_bytes(program, event.market_id)))
        found = _find_finalization(address, instructions)
    else:
        return None
    if found is None:
        raise DecodeError(f"{event_name(event)}: its instruction is not in the transaction")
    return found


def _find_creation(market_id: bytes, instructions: list[ProgramInstruction]) -> bytes | None:
    for instruction in instructions:
        call = _decoded_instruction(instruction)
        if isinstance(call, CreateMarket) and call.market_id == market_id:
            return instruction.data
    return None


def _find_finalization(address: str, instructions: list[ProgramInstruction]) -> bytes | None:
    for instruction in instructions:
        accounts = instruction.accounts
        if (
            isinstance(_decoded_instruction(instruction), FinalizeMarket)
            and len(accounts) > _FINALIZED_MARKET
            and accounts[_FINALIZED_MARKET] == address
        ):
            return instruction.data
    return None


def _decoded_instruction(instruction: ProgramInstruction) -> object:
    try:
        return decode_instruction(instruction.data)
    except DecodeError:
        return None


def event_json(event: Event) -> bytes:
    """Encode the event's fields as readable JSON: ids in hex, keys in base58, hashes as text."""
    fields = msgspec.structs.asdict(event)
    return msgspec.json.encode({name: _json_value(name, value) for name, value in fields.items()})


def _json_value(name: str, value: object) -> object:
    if not isinstance(value, bytes):
        return value
    if name == "market_id":
        return value.hex()
    if name == "evidence_hash":
        return hash_text(value)
    return str(Pubkey(value))


def hash_text(value: bytes) -> str:
    """Return a 46-byte hash field as text: the CID, or ``0x`` and hex if it is not plain ASCII.

    Trailing zeros are padding. The program does not check the content.
    """
    text = value.rstrip(b"\0")
    if text.isascii() and all(0x21 <= byte <= 0x7E for byte in text):
        return text.decode("ascii")
    return "0x" + value.hex()


def hash_bytes(text: str, size: int = 46) -> bytes:
    """Return the bytes of the field that ``hash_text`` shows."""
    if text.startswith("0x") and len(text) == 2 + 2 * size:
        return bytes.fromhex(text[2:])
    return text.encode("ascii").ljust(size, b"\0")
