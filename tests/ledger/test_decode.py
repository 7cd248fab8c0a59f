"""Decoding: what becomes an event, what becomes a gap, and that nothing is dropped."""

from __future__ import annotations

from base64 import b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, address, identity, logs_of
from zmart_pipelines.ledger.model import decode as module
from zmart_pipelines.ledger.model.decode import (
    LOGS_TRUNCATED,
    decode,
    event_json,
    hash_bytes,
    hash_text,
)
from zmart_pipelines.program.events import MarketCreated, SharesBought, WinningsClaimed

USER = bytes([7]) * 32


def bought(number: int = 1) -> SharesBought:
    return SharesBought(identity(number), USER, True, 5, SOL, 500_000_000, 1_790_000_000)


def a_reading(**over: object) -> module.Reading:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    transaction = chain.buy(market_id, chain.users[1])
    return decode(msgspec.structs.replace(transaction, **over), PROGRAM)


def test_event_has_its_market_and_raw_bytes() -> None:
    reading = a_reading()
    (event,) = reading.events
    assert isinstance(event.event, SharesBought)
    assert event.market == bytes(address(identity(1)))
    assert event.market_id == identity(1)
    assert reading.gap is None
    assert event.raw == msgspec.structs.astuple(event)[1]


def test_failed_transactions_are_kept_without_events() -> None:
    reading = a_reading(error={"InsufficientFundsForRent": {"account_index": 1}})
    assert reading.failed
    assert reading.error == '{"InsufficientFundsForRent":{"account_index":1}}'
    assert reading.events == ()
    assert msgspec.json.decode(reading.logs)


def test_truncated_log_is_a_gap_and_later_lines_are_ignored() -> None:
    lines = logs_of([bought()])
    reading = a_reading(logs=[*lines, "Log truncated", *lines])
    assert reading.logs_truncated
    assert reading.gap == LOGS_TRUNCATED
    assert len(reading.events) == 1


def test_malformed_log_is_a_gap() -> None:
    reading = a_reading(logs=[*logs_of([bought()]), f"Program {PROGRAM} success"])
    assert reading.gap is not None
    assert "not well-formed" in reading.gap


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\1\2\3\4\5\6\7\x08", "no event of the program"),
        (bytes.fromhex("f062450afdeae241") + bytes(10), "SharesBought: has 18 bytes"),
    ],
)
def test_undecodable_event_is_quarantined_with_its_bytes(payload: bytes, reason: str) -> None:
    line = f"Program data: {b64encode(payload).decode()}"
    lines = [f"Program {PROGRAM} invoke [1]", line, f"Program {PROGRAM} success"]
    reading = a_reading(logs=lines)
    (event,) = reading.events
    assert event.raw == payload
    assert event.event is None
    assert reason in (event.quarantine_reason or "")
    assert reading.gap is not None


def test_exception_in_the_decoder_quarantines_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_raw: bytes) -> object:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(module, "decode_event", broken)
    (event,) = a_reading().events
    assert event.quarantine_reason == "ZeroDivisionError: oh"


def test_creation_keeps_its_instruction_and_is_quarantined_without_it() -> None:
    chain = Recorder()
    chain.create(1, liquidity=77)
    created = chain.transactions[-1]
    (event,) = decode(created, PROGRAM).events
    assert isinstance(event.event, MarketCreated)
    assert event.instruction == created.instructions[0].data
    (lost,) = decode(msgspec.structs.replace(created, instructions=[]), PROGRAM).events
    assert "its instruction is not in the transaction" in (lost.quarantine_reason or "")


def test_each_creation_in_a_transaction_gets_its_own_instruction() -> None:
    chain = Recorder()
    both = chain.send(chain.creation(identity(1)), chain.creation(identity(2)))
    events = decode(both, PROGRAM).events
    assert [event.instruction for event in events] == [one.data for one in both.instructions]


def test_claims_contain_the_address_and_older_ones_the_id() -> None:
    market = bytes(address(identity(3)))
    now = WinningsClaimed(market, USER, True, 5, 1)
    older = WinningsClaimed(None, USER, None, 5, 1, identity(3), 0)
    present, past = a_reading(logs=logs_of([now, older])).events
    assert (present.market, present.market_id) == (market, None)
    assert (past.market, past.market_id) == (market, identity(3))


def test_digest_identifies_what_was_read() -> None:
    base = a_reading()
    assert a_reading().digest == base.digest
    assert a_reading(index_in_block=9, block_time=None, fee=None).digest == base.digest
    assert a_reading(slot=999).digest != base.digest
    assert a_reading(logs=logs_of([bought()])).digest != base.digest
    assert a_reading(instructions=[]).digest != base.digest
    assert a_reading(error="AccountInUse").digest != base.digest


def test_event_json_has_ids_in_hex_and_keys_in_base58() -> None:
    fields = msgspec.json.decode(event_json(bought()))
    assert fields["market_id"] == identity(1).hex()
    assert fields["user"] == str(Pubkey(USER))
    assert fields["cost"] == SOL


@given(st.binary(min_size=46, max_size=46) | st.text("Qabz19", max_size=46).map(str.encode))
def test_hash_fields_round_trip_as_text(raw: bytes) -> None:
    raw = raw.ljust(46, b"\0")
    text = hash_text(raw)
    assert hash_bytes(text) == raw
    assert "\0" not in text


def _lines(*lines: str) -> list[str]:
    return [line.replace("OURS", str(PROGRAM)) for line in lines]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"logs": []}, "1 instructions of the program, and 0 frames"),
        (
            {"logs": _lines("Program Other1 invoke [1]", "Program Other1 success")},
            "1 instructions of the program, and 0 frames",
        ),
        ({"logs": logs_of([bought(), bought()])}, "and 2 frames"),
        ({"instructions": []}, "0 instructions of the program, and 1 frames"),
        ({"instructions": [], "logs": [], "log_is_missing": True}, "the log is empty"),
        (
            {
                "logs": _lines(
                    "Program OURS invoke [1]",
                    "Program OURS failed: custom program error: 0x1",
                )
            },
            "line 1",
        ),
        (
            {
                "logs": [
                    *logs_of([bought()]),
                    *_lines("Program Other1 invoke [1]", "Program Other1 failed: no"),
                ]
            },
            "line 6: Other1 fails",
        ),
        (
            {"error": {"InstructionError": [0, {"Custom": 6007}]}},
            "an instruction of the program failed, and no frame of it did",
        ),
    ],
)
def test_reading_that_contradicts_itself_is_a_gap_of_that_kind(
    changes: dict[str, object], reason: str
) -> None:
    reading = a_reading(**changes)
    assert reading.gap_kind == "contradictory"
    assert reading.gap is not None
    assert reason in reading.gap
    assert not reading.completeness[0]


def test_failure_elsewhere_does_not_contradict_the_log() -> None:
    logs = _lines("Program OURS invoke [1]", "Program OURS failed: custom program error: 0x1")
    for error, lines in (
        ({"InstructionError": [0, {"Custom": 1}]}, logs),
        ({"InstructionError": [0, {"Custom": 1}]}, []),
        ({"InstructionError": [0, {"Custom": 1}]}, ["Log truncated"]),
        ({"InstructionError": [1, {"Custom": 1}]}, logs_of([bought()])),
        ({"InsufficientFundsForRent": {"account_index": 1}}, logs_of([bought()])),
        ("AccountNotFound", []),
    ):
        assert a_reading(error=error, logs=lines).gap is None
