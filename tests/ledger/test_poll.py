"""Polling a real local chain: complete, current, and corrected after forks."""

from __future__ import annotations

import random
from datetime import timedelta

import msgspec
import pytest
from solders.signature import Signature
from sqlalchemy import Engine, select

from tests.fixtures.ledger import ingest_committed
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from tests.ledger.recorded_rpc import PROGRAM, SOL, key, logs_of, signature
from zmart_pipelines import base58
from zmart_pipelines.chain.jsonrpc import RpcError
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers import finality
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.program.events import SharesBought
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health, markets, trades
from zmart_pipelines.store.tables import chain as tables


def test_polls_alone_complete_the_ledger(db: Engine, stage: Stage, settings: Settings) -> None:
    for number in (1, 2):
        stage.open(stage.create(number))
    signatures = stage.trade_at_random(random.Random(1), 25)
    with pytest.raises(RpcError):
        stage.buy(stage.market_ids[0], cost=1)  # refused at preflight, never lands
    stage.step()
    poll = poll_confirmed(db, stage.rpc, settings, seconds=30)
    assert poll.complete
    assert {str(Signature(one)) for one in signatures} <= stored(db, "confirmed")
    assert poll_confirmed(db, stage.rpc, settings, seconds=30).fetched == 0
    stage.chain.control.finalize()
    window = read_finalized_window(db, stage.rpc, settings)
    assert (window.first_slot, window.gaps, window.uncovered_ranges) == (0, 0, 0)
    assert stored(db, "finalized") == listed(stage.chain)
    assert stored(db, "reported", "confirmed", "orphaned") == set()
    assert_ledger_matches_chain(db, stage)
    with db.connect() as conn:
        (covered,) = health.coverage(conn)
        lag = health.ledger_lag(conn)
    assert (covered.first_slot, covered.last_slot) == (0, window.last_slot)
    assert lag.finalized_slot == window.last_slot
    assert lag.confirmed_slot is not None


def test_repeated_windows_change_nothing_and_coverage_merges(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    stage.open(stage.create(1))
    dice = random.Random(2)
    new = 0
    for _ in range(4):
        stage.trade_at_random(dice, 6)
        stage.chain.control.finalize()
        window = read_finalized_window(db, stage.rpc, settings)
        new += window.result.new_transactions
        again = read_finalized_window(db, stage.rpc, settings)
        assert (again.fetched, again.result.new_transactions) == (0, 0)
    assert stored(db, "finalized") == listed(stage.chain)
    assert new == len(listed(stage.chain))
    with db.connect() as conn:
        assert len(health.coverage(conn)) == 1
    assert_ledger_matches_chain(db, stage)


def test_window_is_read_again_after_crash_before_coverage(
    db: Engine, stage: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.create(1)
    stage.chain.control.finalize()

    def crash(*_args: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(finality, "orphan_unlisted", crash)
        with pytest.raises(RuntimeError, match="power cut"):
            read_finalized_window(db, stage.rpc, settings)
    with db.connect() as conn:
        assert health.coverage(conn) == []
    assert read_finalized_window(db, stage.rpc, settings).result.new_transactions == 0
    assert_ledger_matches_chain(db, stage)


def test_confirmed_poll_follows_transaction_to_its_new_slot(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    stage.open(stage.create(1))
    for number in range(3):
        stage.buy(stage.market_ids[0], user=number)
        stage.step()
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    before = stage.rpc.slot("confirmed")
    stage.chain.control.fork(3, None)
    stage.step(2)
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    rows = stage.chain.result("getSignaturesForAddress", str(PROGRAM), {"commitment": "confirmed"})
    with db.connect() as conn:
        held = conn.execute(
            select(tables.transactions.c.signature, tables.transactions.c.slot).where(
                tables.transactions.c.commitment == "confirmed"
            )
        ).all()
    slots = {str(Signature(row.signature)): row.slot for row in held}
    assert {row["signature"]: row["slot"] for row in rows}.items() <= slots.items()
    assert max(slots.values()) > before


def test_reported_readings_are_verified_after_their_timeout(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    bought = stage.buy(market_id)
    stage.step()
    raw = stage.rpc.transaction(bought, "confirmed")
    assert raw is not None
    true = from_rpc(raw, PROGRAM)
    with db.connect() as conn:
        market = markets.get(conn, market_id)
    assert market is not None
    false_event = SharesBought(
        market_id, bytes(key("forger")), True, 5, SOL, 500_000_000, 1_800_000_000
    )
    invented = [
        msgspec.structs.replace(
            true,
            signature_text=base58.encode(signature("false report", slot)),
            slot=slot,
            logs=logs_of([false_event]),
        )
        for slot in (market.as_of_slot, true.slot, 2**62)
    ]
    ingest_committed(
        db,
        [true, *invented],
        source=Source.WEBHOOK,
        commitment=Commitment.REPORTED,
        program=PROGRAM,
    )
    result, looked_up = finality.verify_reported(db, stage.rpc, settings)
    assert looked_up == 0  # too young
    result, looked_up = finality.verify_reported(
        db, stage.rpc, settings, min_age=timedelta(seconds=0)
    )
    assert looked_up == 4
    # The true reading is promoted; false ones in covered slots and in the future are orphaned;
    # the one in a slot that is not covered yet waits for its window.
    assert (result.promoted, result.orphaned) == (1, 2)
    assert len(stored(db, "reported")) == 1
    stage.chain.control.finalize()
    window = read_finalized_window(db, stage.rpc, settings)
    assert window.result.orphaned == 1
    assert stored(db, "finalized") == listed(stage.chain)
    assert_ledger_matches_chain(db, stage)
    with db.connect() as conn:
        assert [one.signature for one in trades.find_trades(conn, market_id=market_id)] == [bought]
