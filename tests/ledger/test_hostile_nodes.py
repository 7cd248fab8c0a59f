"""Nodes whose well-formed answers are wrong, behind the real client: nothing false is stored."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, select

from tests.fixtures.ledger import ingest_committed
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from tests.ledger.recorded_rpc import PROGRAM
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signature_listing import ContradictoryListing
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.ledger.audit.reconcile import compare_accounts
from zmart_pipelines.ledger.audit.repair import repair_market
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers.backfill import backfill
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import chain as tables
from zmart_pipelines.store.tables.ops import alerts


@pytest.fixture
def traded(stage: Stage) -> Stage:
    """A market with trades, old enough that a node may have pruned some of them."""
    stage.open(stage.create(1))
    stage.trade_at_random(random.Random(5), 20)
    stage.step(10)
    stage.trade_at_random(random.Random(6), 20)
    stage.chain.control.finalize()
    return stage


@pytest.fixture
def both(traded: Stage) -> Iterator[RpcClient]:
    """A client of two paths of the node: faults of the path ``/`` hit the preferred one only."""
    url = traded.chain.rpc_url
    with RpcClient([f"{url}/", f"{url}/lag/0"], 10, sleep=lambda _: None) as client:
        yield client


def arm(stage: Stage, kind: str, **arguments: Any) -> None:
    stage.chain.control.command("fault", kind=kind, **{"times": None, "path": "/"} | arguments)


def open_gaps(db: Engine) -> set[str]:
    with db.connect() as conn:
        return {gap.kind for gap in health.gaps(conn)}


def make_gaps_due(db: Engine) -> None:
    with db.begin() as conn:
        conn.execute(tables.gaps.update().values(retry_at=tables.gaps.c.opened_at))


def covered(db: Engine) -> list[tuple[int, int]]:
    with db.connect() as conn:
        return [(one.first_slot, one.last_slot) for one in health.coverage(conn)]


READINGS = ["empty-logs", "null-logs"]


@pytest.mark.parametrize("kind", READINGS)
def test_reading_without_its_log_is_asked_of_the_next_node(
    db: Engine, traded: Stage, both: RpcClient, settings: Settings, kind: str
) -> None:
    arm(traded, kind)
    poll_confirmed(db, both, settings, seconds=60)
    report = read_finalized_window(db, both, settings)
    assert (report.gaps, open_gaps(db)) == (0, set())
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)


@pytest.mark.parametrize("kind", READINGS)
def test_reading_without_its_log_is_a_gap_until_another_node_has_it(
    db: Engine, traded: Stage, settings: Settings, kind: str
) -> None:
    arm(traded, kind)
    read_finalized_window(db, traded.rpc, settings)
    assert open_gaps(db) == {"contradictory"}
    with db.connect() as conn:
        gaps = health.gaps(conn)
        assert conn.execute(select(tables.events)).all() == []
    assert all("0 frames of it in the log" in gap.reason for gap in gaps)
    compare_accounts(db, AccountReader(traded.rpc, PROGRAM))
    assert len(gaps) == len(listed(traded.chain))
    traded.chain.control.command("clear-faults")
    make_gaps_due(db)
    report = read_finalized_window(db, traded.rpc, settings)
    assert report.gaps_closed == len(gaps)
    assert open_gaps(db) == set()
    assert_ledger_matches_chain(db, traded)
    with db.connect() as conn:
        superseded = conn.execute(
            select(tables.transactions.c.superseded_reason).where(
                tables.transactions.c.commitment == "orphaned"
            )
        ).scalars()
        assert all("contradicts itself" in str(reason) for reason in superseded)


def test_reading_without_its_log_does_not_displace_what_a_webhook_reported(
    db: Engine, traded: Stage, settings: Settings
) -> None:
    true = traded.rpc.signatures_for_address(PROGRAM, limit=5)
    raw = [traded.rpc.transaction(row.signature, "finalized") for row in true]
    ingest_committed(
        db,
        [from_rpc(one, PROGRAM) for one in raw if one is not None],
        source=Source.WEBHOOK,
        commitment=Commitment.REPORTED,
        program=PROGRAM,
    )
    with db.connect() as conn:
        events = len(conn.execute(select(tables.events)).all())
    assert events == 5
    arm(traded, "empty-logs")
    poll_confirmed(db, traded.rpc, settings, seconds=60)
    read_finalized_window(db, traded.rpc, settings)
    with db.connect() as conn:
        kept = conn.execute(
            select(tables.events).where(tables.events.c.commitment != "orphaned")
        ).all()
    assert len(kept) == events
    assert open_gaps(db) == {"contradictory"}
    traded.chain.control.command("clear-faults")
    make_gaps_due(db)
    read_finalized_window(db, traded.rpc, settings)
    assert_ledger_matches_chain(db, traded)
    assert open_gaps(db) == set()


def test_false_finalized_reading_gives_way_to_the_one_that_agrees_with_the_accounts(
    db: Engine, traded: Stage, settings: Settings
) -> None:
    """The false one is complete and consistent: only the accounts tell."""
    real = traded.rpc.signatures_for_address(PROGRAM, limit=2)
    answers = [traded.rpc.transaction(row.signature, "finalized") for row in real]
    one, other = (from_rpc(answer, PROGRAM) for answer in answers if answer is not None)
    false = msgspec.structs.replace(one, logs=other.logs)
    ingest_committed(
        db,
        [false],
        source=Source.FINALIZED_WINDOW,
        commitment=Commitment.FINALIZED,
        program=PROGRAM,
    )
    read_finalized_window(db, traded.rpc, settings)
    reader = AccountReader(traded.rpc, PROGRAM)
    assert compare_accounts(db, reader).actionable != ()
    (market_id,) = traded.market_ids
    done = repair_market(db, traded.rpc, settings, market_id, "everything")
    assert (done.contradicted, done.new_transactions, done.new_events) == (1, 1, 1)
    assert_ledger_matches_chain(db, traded)
    with db.connect() as conn:
        reason = conn.execute(
            select(tables.transactions.c.superseded_reason).where(
                tables.transactions.c.commitment == "orphaned"
            )
        ).scalar_one()
        topics = conn.execute(select(alerts.c.topic)).scalars().all()
    assert "accounts agree" in str(reason)
    assert topics == ["superseded_reading"]
    assert open_gaps(db) == set()
    # The false one again changes nothing: the accounts do not agree with it.
    ingest_committed(
        db,
        [false],
        source=Source.FINALIZED_WINDOW,
        commitment=Commitment.FINALIZED,
        program=PROGRAM,
    )
    repair_market(db, traded.rpc, settings, market_id, "everything")
    assert_ledger_matches_chain(db, traded)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_short_pages_end_no_listing(
    db: Engine, traded: Stage, settings: Settings, rows: int
) -> None:
    complete = listed(traded.chain)
    of_market = repair_market(db, traded.rpc, settings, traded.market_ids[0], "missing").listed
    arm(traded, "short-page", rows=rows)
    report = read_finalized_window(db, traded.rpc, settings)
    assert (report.first_slot, report.listed) == (0, len(complete))
    assert stored(db, "finalized") == complete
    repaired = repair_market(db, traded.rpc, settings, traded.market_ids[0], "missing")
    assert repaired.listed == of_market > 7
    assert_ledger_matches_chain(db, traded)


def test_short_pages_end_no_backfill_and_no_poll(
    db: Engine, traded: Stage, settings: Settings
) -> None:
    complete = listed(traded.chain)
    arm(traded, "short-page", rows=3)
    tip = traded.rpc.slot("finalized")
    done = backfill(db, traded.rpc, settings, first_slot=0, last_slot=tip)
    assert done.complete
    assert stored(db, "finalized") == complete
    for user in range(3):
        traded.buy(traded.market_ids[0], user)
        traded.buy(traded.market_ids[0], user, outcome=False)
    traded.step(2)
    report = poll_confirmed(db, traded.rpc, settings, seconds=60)
    assert len(stored(db, "confirmed")) == 6
    assert report.listed > 3


@pytest.mark.parametrize("times", [1, 2])
def test_answers_from_local_storage_end_no_listing(
    db: Engine, traded: Stage, settings: Settings, times: int
) -> None:
    arm(traded, "local-storage", slots=30, methods=["getSignaturesForAddress"], times=times)
    report = read_finalized_window(db, traded.rpc, settings)
    assert report.first_slot == 0
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)


def test_node_with_local_storage_only_covers_nothing_older(
    db: Engine, traded: Stage, settings: Settings
) -> None:
    arm(traded, "local-storage", slots=30)
    tip = traded.rpc.slot("processed")
    read_finalized_window(db, traded.rpc, settings)
    ((first, _),) = covered(db)
    assert first == tip - 30
    assert not backfill(db, traded.rpc, settings, first_slot=0, last_slot=first - 1).complete
    traded.chain.control.command("clear-faults")
    assert backfill(db, traded.rpc, settings, first_slot=0, last_slot=first - 1).complete
    assert stored(db, "finalized") == listed(traded.chain)


@pytest.mark.parametrize("reader", ["window", "backfill"])
def test_history_that_one_node_has_pruned_is_read_from_the_other(
    db: Engine, traded: Stage, both: RpcClient, settings: Settings, reader: str
) -> None:
    complete, tip = listed(traded.chain), traded.rpc.slot("finalized")
    arm(traded, "local-storage", slots=30)
    if reader == "window":
        read_finalized_window(db, both, settings)
    else:
        assert backfill(db, both, settings, first_slot=0, last_slot=tip).complete
    assert covered(db) == [(0, tip)]
    assert stored(db, "finalized") == complete
    assert_ledger_matches_chain(db, traded)


def test_history_that_every_node_has_pruned_is_read_from_where_the_longest_begins(
    db: Engine, traded: Stage, both: RpcClient, settings: Settings
) -> None:
    tip = traded.rpc.slot("processed")
    arm(traded, "local-storage", slots=20)
    arm(traded, "local-storage", slots=30, path="/lag/0")
    read_finalized_window(db, both, settings)
    assert covered(db) == [(tip - 30, traded.rpc.slot("finalized"))]
    traded.chain.control.command("clear-faults")
    assert stored(db, "finalized") < listed(traded.chain)


def test_listing_that_hides_what_the_ledger_read_is_refused(
    db: Engine, traded: Stage, settings: Settings
) -> None:
    tip = traded.rpc.slot("finalized")
    backfill(db, traded.rpc, settings, first_slot=20, last_slot=tip - 1)
    before = covered(db)
    with db.begin() as conn:
        conn.execute(tables.coverage.delete())
    arm(traded, "local-storage", slots=30, methods=["getSignaturesForAddress"])
    with pytest.raises(ContradictoryListing, match="is missing from the listing"):
        read_finalized_window(db, traded.rpc, settings)
    assert covered(db) == []
    assert before != []


@pytest.mark.parametrize("reader", ["window", "backfill", "poll", "repair"])
def test_circular_listing_is_refused_by_name_and_covers_nothing(
    db: Engine, traded: Stage, settings: Settings, reader: str
) -> None:
    arm(traded, "circular-listing")
    tip = traded.rpc.slot("finalized")
    readers: dict[str, Callable[[], object]] = {
        "window": lambda: read_finalized_window(db, traded.rpc, settings),
        "backfill": lambda: backfill(db, traded.rpc, settings, first_slot=0, last_slot=tip),
        "poll": lambda: poll_confirmed(db, traded.rpc, settings, seconds=60),
        "repair": lambda: repair_market(db, traded.rpc, settings, traded.market_ids[0], "missing"),
    }
    with pytest.raises(ContradictoryListing, match=traded.chain.rpc_url.removeprefix("http://")):
        readers[reader]()
    assert covered(db) == []


def test_circular_listing_of_one_node_is_listed_by_the_other(
    db: Engine, traded: Stage, both: RpcClient, settings: Settings
) -> None:
    arm(traded, "circular-listing")
    poll_confirmed(db, both, settings, seconds=60)
    report = read_finalized_window(db, both, settings)
    assert report.first_slot == 0
    assert stored(db, "finalized") == listed(traded.chain)
    assert_ledger_matches_chain(db, traded)


def test_version_1_transactions_are_read(db: Engine, traded: Stage, settings: Settings) -> None:
    arm(traded, "transaction-version", version=1)
    poll_confirmed(db, traded.rpc, settings, seconds=60)
    read_finalized_window(db, traded.rpc, settings)
    assert stored(db, "finalized") == listed(traded.chain)
    assert open_gaps(db) == set()
    assert_ledger_matches_chain(db, traded)


def test_transactions_of_a_later_version_are_gaps_that_name_it(
    db: Engine, traded: Stage, settings: Settings
) -> None:
    arm(traded, "transaction-version", version=2)
    read_finalized_window(db, traded.rpc, settings)
    with db.connect() as conn:
        gaps = health.gaps(conn)
    assert {gap.kind for gap in gaps} == {"unsupported"}
    assert all("version (2)" in gap.reason for gap in gaps)
    assert len(gaps) == len(listed(traded.chain))
    # Retried after growing pauses only.
    read_finalized_window(db, traded.rpc, settings)
    read_finalized_window(db, traded.rpc, settings)
    with db.connect() as conn:
        assert {gap.attempts for gap in health.gaps(conn)} <= {0, 1}
    traded.chain.control.command("clear-faults")
    make_gaps_due(db)
    read_finalized_window(db, traded.rpc, settings)
    assert open_gaps(db) == set()
    assert_ledger_matches_chain(db, traded)
