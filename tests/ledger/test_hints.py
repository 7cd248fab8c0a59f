"""Hints: signatures without logs are read by RPC, each once, with bounded effort."""

from __future__ import annotations

import random

import pytest
from solders.signature import Signature
from sqlalchemy import Engine, select, text

from tests.api.payloads import enhanced
from tests.fixtures.localnet import StartLocalnet
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, stored
from tests.ledger.recorded_rpc import SOL
from zmart_pipelines.chain.helius_enhanced import MAX_HINTS, Hint, parse_hints
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ledger.readers import deliveries, hints
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain as tables


def deliver_hints(db: Engine, *signatures: bytes) -> int:
    """Deliver a body that names them; return how many were not known."""
    body = enhanced(*signatures)
    named = parse_hints(body)
    assert named is not None
    with db.begin() as conn:
        return deliveries.store_hint_delivery(conn, body, named)[1]


def stored_hints(db: Engine) -> dict[bytes, tuple[str, int]]:
    table = tables.hints
    with db.connect() as conn:
        rows = conn.execute(select(table.c.signature, table.c.status, table.c.attempts))
        return {row.signature: (row.status, row.attempts) for row in rows}


def expire_waits(db: Engine) -> None:
    with db.begin() as conn:
        conn.execute(text("UPDATE chain.hints SET retry_at = now()"))


def open_gaps(db: Engine) -> int:
    with db.connect() as conn:
        statement = text("SELECT count(*) FROM chain.gaps WHERE closed_at IS NULL")
        return int(conn.execute(statement).scalar_one())


def test_named_signatures_are_read_and_projected(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    trades = [stage.buy(market_id, user) for user in range(3)]
    stage.step()
    # All transactions of the market so far, without logs.
    everything = [
        Signature.from_string(row["signature"])
        for row in stage.chain.result(
            "getSignaturesForAddress", str(stage.chain.program), {"commitment": "confirmed"}
        )
    ]
    assert deliver_hints(db, *map(bytes, everything)) == len(everything)
    assert deliver_hints(db, *trades) == 0
    report = hints.read_due_hints(db, stage.rpc, settings)
    assert report.read == report.result.new_transactions == len(everything)
    assert {str(Signature(one)) for one in trades} <= stored(db, "confirmed")
    assert {status for status, _ in stored_hints(db).values()} == {"read"}
    assert hints.read_due_hints(db, stage.rpc, settings) == hints.HintReport()
    # What the ledger holds is not read again if another delivery names it.
    assert deliver_hints(db, *trades) == 0
    assert hints.read_due_hints(db, stage.rpc, settings) == hints.HintReport()
    assert_ledger_matches_chain(db, stage)
    with db.connect() as conn:
        assert deliveries.pending_deliveries(conn) == []


def test_hint_already_ingested_by_the_poll_is_not_read(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    trade = stage.buy(market_id, cost=SOL)
    stage.step()
    assert deliver_hints(db, trade) == 1
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    report = hints.read_due_hints(db, stage.rpc, settings)
    assert (report.read, report.result.new_transactions) == (1, 0)


def test_hint_of_another_program_ends_as_foreign(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    transfer = Signature.from_string(stage.chain.airdrop(stage.users[0].pubkey()))
    assert deliver_hints(db, bytes(transfer)) == 1
    report = hints.read_due_hints(db, stage.rpc, settings)
    assert (report.foreign, report.read) == (1, 0)
    assert stored_hints(db) == {bytes(transfer): ("foreign", 1)}
    assert deliver_hints(db, bytes(transfer)) == 0
    assert stored(db, "confirmed", "reported", "finalized") == set()
    assert open_gaps(db) == 0


def test_hint_unknown_to_every_node_is_given_up_without_a_gap(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    unknown = bytes(range(64))
    assert deliver_hints(db, unknown) == 1
    for attempt in range(1, hints.MAX_ATTEMPTS + 1):
        report = hints.read_due_hints(db, stage.rpc, settings)
        assert (report.postponed + report.unknown, report.read) == (1, 0)
        assert stored_hints(db)[unknown][1] == attempt
        # It is not read again before it is due.
        assert hints.read_due_hints(db, stage.rpc, settings) == hints.HintReport()
        expire_waits(db)
    assert stored_hints(db)[unknown] == ("unknown", hints.MAX_ATTEMPTS)
    assert hints.read_due_hints(db, stage.rpc, settings) == hints.HintReport()
    assert open_gaps(db) == 0
    # Named once more, it is retried from the start.
    assert deliver_hints(db, unknown) == 1
    assert stored_hints(db)[unknown] == ("pending", 0)


def test_hint_not_confirmed_yet_is_read_later(db: Engine, stage: Stage, settings: Settings) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    trade = stage.buy(market_id, cost=SOL)  # runs in the open slot
    deliver_hints(db, trade)
    assert hints.read_due_hints(db, stage.rpc, settings).postponed == 1
    stage.step()
    expire_waits(db)
    assert hints.read_due_hints(db, stage.rpc, settings).read == 1


def test_node_outage_costs_no_attempt(
    db: Engine, stage: Stage, settings: Settings, start_localnet: StartLocalnet
) -> None:
    deliver_hints(db, bytes(64))
    stage.chain.control.command("fault", kind="rate-limit", retry_after=1, times=None)
    client = RpcClient(stage.chain.rpc_url, 2.0, attempts=1)
    with pytest.raises((RateLimited, RpcUnavailable)):
        hints.read_due_hints(db, client, settings)
    assert stored_hints(db) == {bytes(64): ("pending", 0)}


def test_hints_left_by_a_rate_limit_are_read_by_the_next_scan(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    trades = [stage.buy(market_id, user) for user in range(3)]
    stage.step()
    deliver_hints(db, *trades)
    client = RpcClient(stage.chain.rpc_url, 5.0, attempts=1, calls_per_second=0.01, burst=2)
    first = hints.read_due_hints(db, client, settings, seconds=5)
    assert (first.read, first.postponed) == (2, 1)
    assert sorted(stored_hints(db).values()) == [("pending", 0), ("read", 1), ("read", 1)]
    assert hints.read_due_hints(db, stage.rpc, settings, seconds=5).read == 1


def test_scan_is_bounded_in_number_and_time(db: Engine, stage: Stage, settings: Settings) -> None:
    dice = random.Random(4)
    names = [dice.randbytes(64) for _ in range(30)]
    assert deliver_hints(db, *names) == 30
    assert hints.read_due_hints(db, stage.rpc, settings, limit=10).postponed == 10
    assert sorted(attempts for _, attempts in stored_hints(db).values()) == [0] * 20 + [1] * 10
    # Without time nothing is read, and no attempt is counted.
    assert hints.read_due_hints(db, stage.rpc, settings, seconds=-1).postponed == 20
    assert sorted(attempts for _, attempts in stored_hints(db).values()) == [0] * 20 + [1] * 10


def test_only_enhanced_bodies_are_parsed_as_hints() -> None:
    one = bytes(range(64))
    assert parse_hints(enhanced(one)) == [Hint(one, 5)]
    assert parse_hints(enhanced(one, one)) == [Hint(one, 5)]
    assert parse_hints(enhanced(one)[1:-1]) == [Hint(one, 5)]
    dice = random.Random(1)
    many = [dice.randbytes(64) for _ in range(MAX_HINTS + 1)]
    assert len(parse_hints(enhanced(*many[:-1])) or []) == MAX_HINTS
    for body in (
        enhanced(*many),
        b"[]",
        b"",
        b"[null]",
        b"\xff",
        b"[" * 100_000,
        enhanced(one).replace(b'"slot": 5', b'"slot": -5'),
        enhanced(one).replace(b'"slot": 5', b'"slat": 5'),
        enhanced(one).replace(str(Signature(one)).encode(), b"0" * 80),
        enhanced(one).replace(str(Signature(one)).encode(), b"z" * 88),
    ):
        assert parse_hints(body) is None
