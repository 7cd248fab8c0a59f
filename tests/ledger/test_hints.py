"""Signatures told without logs: read by RPC, each once, and no more than they are worth."""

from __future__ import annotations

import random

import pytest
from solders.signature import Signature
from sqlalchemy import Engine, select, text

from tests.api.payloads import enhanced
from tests.fixtures.localnet import StartLocalnet
from tests.ledger.onchain import Stage, agrees, stored
from tests.ledger.recorded_rpc import SOL
from zmart_pipelines.chain.helius_enhanced import MAX_HINTS, Hint, parse_hints
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ledger.readers import deliveries, hints
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain as tables


def tell(db: Engine, *signatures: bytes) -> int:
    """Deliver them; how many were not known."""
    body = enhanced(*signatures)
    told = parse_hints(body)
    assert told is not None
    with db.begin() as conn:
        return deliveries.store_hint_delivery(conn, body, told)[1]


def told(db: Engine) -> dict[bytes, tuple[str, int]]:
    table = tables.hints
    with db.connect() as conn:
        rows = conn.execute(select(table.c.signature, table.c.status, table.c.attempts))
        return {row.signature: (row.status, row.attempts) for row in rows}


def wait_is_over(db: Engine) -> None:
    with db.begin() as conn:
        conn.execute(text("UPDATE chain.hints SET retry_at = now()"))


def open_gaps(db: Engine) -> int:
    with db.connect() as conn:
        statement = text("SELECT count(*) FROM chain.gaps WHERE closed_at IS NULL")
        return int(conn.execute(statement).scalar_one())


def test_what_is_named_is_read_and_projected(db: Engine, stage: Stage, settings: Settings) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    trades = [stage.buy(market_id, user) for user in range(3)]
    stage.step()
    # All of the market's life so far, by name only.
    everything = [
        Signature.from_string(row["signature"])
        for row in stage.chain.result(
            "getSignaturesForAddress", str(stage.chain.program), {"commitment": "confirmed"}
        )
    ]
    assert tell(db, *map(bytes, everything)) == len(everything)
    assert tell(db, *trades) == 0
    report = hints.read_due_hints(db, stage.rpc, settings)
    assert report.read == report.result.new_transactions == len(everything)
    assert {str(Signature(one)) for one in trades} <= stored(db, "confirmed")
    assert {status for status, _ in told(db).values()} == {"read"}
    assert hints.read_due_hints(db, stage.rpc, settings) == hints.HintReport()
    # What the ledger holds is not asked for again, whoever names it.
    assert tell(db, *trades) == 0
    assert hints.read_due_hints(db, stage.rpc, settings) == hints.HintReport()
    agrees(db, stage)
    with db.connect() as conn:
        assert deliveries.pending_deliveries(conn) == []


def test_what_the_poll_brings_first_needs_no_reading(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    trade = stage.buy(market_id, cost=SOL)
    stage.step()
    assert tell(db, trade) == 1
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    report = hints.read_due_hints(db, stage.rpc, settings)
    assert (report.read, report.result.new_transactions) == (1, 0)


def test_what_is_not_ours_ends_at_once(db: Engine, stage: Stage, settings: Settings) -> None:
    transfer = Signature.from_string(stage.chain.airdrop(stage.users[0].pubkey()))
    assert tell(db, bytes(transfer)) == 1
    report = hints.read_due_hints(db, stage.rpc, settings)
    assert (report.foreign, report.read) == (1, 0)
    assert told(db) == {bytes(transfer): ("foreign", 1)}
    assert tell(db, bytes(transfer)) == 0
    assert stored(db, "confirmed", "reported", "finalized") == set()
    assert open_gaps(db) == 0


def test_what_no_node_knows_is_given_up_without_a_gap(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    nobody = bytes(range(64))
    assert tell(db, nobody) == 1
    for attempt in range(1, hints.MAX_ATTEMPTS + 1):
        report = hints.read_due_hints(db, stage.rpc, settings)
        assert (report.postponed + report.unknown, report.read) == (1, 0)
        assert told(db)[nobody][1] == attempt
        # It is not asked for again before its time.
        assert hints.read_due_hints(db, stage.rpc, settings) == hints.HintReport()
        wait_is_over(db)
    assert told(db)[nobody] == ("unknown", hints.MAX_ATTEMPTS)
    assert hints.read_due_hints(db, stage.rpc, settings) == hints.HintReport()
    assert open_gaps(db) == 0
    # Named once more it gets another round.
    assert tell(db, nobody) == 1
    assert told(db)[nobody] == ("pending", 0)


def test_a_transaction_not_confirmed_yet_is_read_later(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    trade = stage.buy(market_id, cost=SOL)  # runs in the open slot
    tell(db, trade)
    assert hints.read_due_hints(db, stage.rpc, settings).postponed == 1
    stage.step()
    wait_is_over(db)
    assert hints.read_due_hints(db, stage.rpc, settings).read == 1


def test_an_outage_of_the_node_is_no_attempt(
    db: Engine, stage: Stage, settings: Settings, start_localnet: StartLocalnet
) -> None:
    tell(db, bytes(64))
    stage.chain.control.command("fault", kind="rate-limit", retry_after=1, times=None)
    client = RpcClient(stage.chain.rpc_url, 2.0, attempts=1)
    with pytest.raises((RateLimited, RpcUnavailable)):
        hints.read_due_hints(db, client, settings)
    assert told(db) == {bytes(64): ("pending", 0)}


def test_what_a_limit_leaves_is_for_the_next_look(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    trades = [stage.buy(market_id, user) for user in range(3)]
    stage.step()
    tell(db, *trades)
    client = RpcClient(stage.chain.rpc_url, 5.0, attempts=1, calls_per_second=0.01, burst=2)
    first = hints.read_due_hints(db, client, settings, seconds=5)
    assert (first.read, first.postponed) == (2, 1)
    assert sorted(told(db).values()) == [("pending", 0), ("read", 1), ("read", 1)]
    assert hints.read_due_hints(db, stage.rpc, settings, seconds=5).read == 1


def test_a_look_is_bounded_in_number_and_time(db: Engine, stage: Stage, settings: Settings) -> None:
    dice = random.Random(4)
    names = [dice.randbytes(64) for _ in range(30)]
    assert tell(db, *names) == 30
    assert hints.read_due_hints(db, stage.rpc, settings, limit=10).postponed == 10
    assert sorted(attempts for _, attempts in told(db).values()) == [0] * 20 + [1] * 10
    # Without time nothing is asked, and nothing counts against anybody.
    assert hints.read_due_hints(db, stage.rpc, settings, seconds=-1).postponed == 20
    assert sorted(attempts for _, attempts in told(db).values()) == [0] * 20 + [1] * 10


def test_only_enhanced_bodies_are_hints() -> None:
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
