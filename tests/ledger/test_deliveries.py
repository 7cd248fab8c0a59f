"""Webhook deliveries: committed first, ingested once, resumable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import Engine, select

from tests.chain.payloads import compiled
from tests.ledger.conftest import differences
from tests.ledger.recorded_rpc import PROGRAM, Recorder, history
from zmart_pipelines.chain.transactions import RawTransaction, from_helius
from zmart_pipelines.ledger.readers import deliveries
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import chain as tables


def element(transaction: RawTransaction) -> dict[str, Any]:
    """Return the transaction in the shape of Helius' raw webhook."""
    payer = Pubkey.from_string(
        next(key for one in transaction.instructions for key in one.accounts)
    )
    message = MessageV0.try_compile(
        payer,
        [
            Instruction(
                PROGRAM,
                one.data,
                [AccountMeta(Pubkey.from_string(key), False, True) for key in one.accounts],
            )
            for one in transaction.instructions
        ],
        [],
        Hash.default(),
    )
    return {
        "blockTime": transaction.block_time,
        "indexWithinBlock": transaction.index_in_block,
        "meta": {
            "err": transaction.error,
            "fee": transaction.fee,
            "innerInstructions": [],
            "loadedAddresses": {"readonly": [], "writable": []},
            "logMessages": transaction.logs,
        },
        "slot": transaction.slot,
        "transaction": {
            "message": {
                "accountKeys": [str(key) for key in message.account_keys],
                "addressTableLookups": None,
                "instructions": compiled(message),
            },
            "signatures": [str(Signature(transaction.signature))],
        },
    }


def body(transactions: list[RawTransaction]) -> bytes:
    return msgspec.json.encode([element(one) for one in transactions])


def receive(db: Engine, content: bytes, number: int) -> int:
    with db.begin() as conn:
        return deliveries.store_delivery(conn, content, transaction_count=number)


def status(db: Engine, delivery_id: int) -> tuple[str, int, str | None]:
    table = tables.deliveries
    with db.connect() as conn:
        row = conn.execute(
            select(table.c.status, table.c.attempts, table.c.error).where(table.c.id == delivery_id)
        ).one()
    return row.status, row.attempts, row.error


@pytest.fixture
def chain() -> Recorder:
    return history(11, 230)


def test_bodies_have_the_shape_that_helius_sends(chain: Recorder) -> None:
    assert from_helius(body(chain.transactions[:5]), PROGRAM) == chain.transactions[:5]


def test_delivery_is_ingested_in_parts_and_once(db: Engine, chain: Recorder) -> None:
    delivery = receive(db, body(chain.transactions), len(chain.transactions))
    with db.connect() as conn:
        assert deliveries.pending_deliveries(conn) == [delivery]
        assert health.ledger_lag(conn).deliveries_waiting == 1
    part = deliveries.DeliveryPart(delivery, chain.transactions[:100], last=False)
    first, _ = deliveries.ingest_parts(db, [part], program=PROGRAM)
    assert first.new_transactions == 100
    assert status(db, delivery) == ("received", 0, None)
    rest = deliveries.process_delivery(db, delivery, program=PROGRAM)
    assert rest.complete
    assert rest.result.new_transactions == len(chain.transactions) - 100
    assert status(db, delivery) == ("ingested", 1, None)
    assert differences(db, chain) == []
    with db.connect() as conn:
        assert deliveries.pending_deliveries(conn) == []
        marks = conn.execute(select(tables.transactions.c.delivery_id).distinct()).scalars().all()
    assert marks == [delivery]
    again = deliveries.process_delivery(db, delivery, program=PROGRAM)
    assert (again.complete, again.result.new_transactions) == (True, 0)


def test_repeated_body_is_ingested_once(db: Engine, chain: Recorder) -> None:
    content = body(chain.transactions[:60])
    results = [
        deliveries.process_delivery(db, receive(db, content, 60), program=PROGRAM).result
        for _ in range(10)
    ]
    assert [one.new_transactions for one in results] == [60, *[0] * 9]


def test_first_report_counts_if_deliveries_are_ingested_together(
    db: Engine, chain: Recorder
) -> None:
    """As if they had been ingested one by one: a webhook does not contradict a webhook."""
    reported = chain.transactions[:40]
    moved = msgspec.structs.replace(reported[-1], slot=reported[-1].slot + 1)
    first = receive(db, body(reported), 40)
    second = receive(db, body([moved, chain.transactions[40]]), 2)
    parts = [
        deliveries.DeliveryPart(first, reported, last=True),
        deliveries.DeliveryPart(second, [moved, chain.transactions[40]], last=True),
    ]
    result, events = deliveries.ingest_parts(db, parts, program=PROGRAM)
    assert result.new_transactions == 41
    assert sum(events.values()) == result.new_events
    assert events[second] < events[first]
    table = tables.transactions
    with db.connect() as conn:
        rows = conn.execute(select(table.c.signature, table.c.slot, table.c.delivery_id)).all()
    found = {row.signature: (row.slot, row.delivery_id) for row in rows}
    assert found[moved.signature] == (reported[-1].slot, first)
    assert found[chain.transactions[40].signature][1] == second
    assert [status(db, one)[0] for one in (first, second)] == ["ingested", "ingested"]


def test_unreadable_delivery_is_marked_failed_and_given_up(db: Engine) -> None:
    delivery = receive(db, b'[{"slot": -1}', 1)
    processed = deliveries.process_delivery(db, delivery, program=PROGRAM)
    assert not processed.complete
    state, attempts, error = status(db, delivery)
    assert (state, attempts) == ("failed", 1)
    assert error is not None
    assert "truncated" in error
    for _ in range(deliveries.MAX_ATTEMPTS):
        deliveries.process_delivery(db, delivery, program=PROGRAM)
    with db.connect() as conn:
        assert deliveries.pending_deliveries(conn) == []


def test_empty_delivery_is_complete(db: Engine) -> None:
    delivery = receive(db, b"[]", 0)
    assert deliveries.process_delivery(db, delivery, program=PROGRAM).complete
    assert status(db, delivery)[0] == "ingested"


def test_unknown_delivery_raises_key_error(db: Engine) -> None:
    with pytest.raises(KeyError):
        deliveries.process_delivery(db, 4711, program=PROGRAM)


def test_exception_during_ingest_is_counted_and_raised(
    db: Engine, chain: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = receive(db, body(chain.transactions[:3]), 3)

    def broken(*_args: object, **_named: object) -> None:
        raise ZeroDivisionError("secret words")

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "ingest", broken)
        with pytest.raises(ZeroDivisionError):
            deliveries.process_delivery(db, delivery, program=PROGRAM)
    assert status(db, delivery) == ("failed", 1, "ZeroDivisionError")
    with db.connect() as conn:
        assert deliveries.pending_deliveries(conn) == [delivery]
    assert deliveries.process_delivery(db, delivery, program=PROGRAM).complete
