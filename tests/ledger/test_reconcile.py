"""Reconciliation with a real local chain: differences are found, classified and repaired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, func, update

from tests.ledger.onchain import Stage, assert_ledger_matches_chain
from tests.ledger.recorded_rpc import PROGRAM
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ledger.audit import rebuild
from zmart_pipelines.ledger.audit.reconcile import compare_accounts
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window, retry_gaps
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import chain as tables
from zmart_pipelines.store.tables.ops import differences


class Flaky(RpcClient):
    """A node that lists transactions but does not have all of them."""

    missing: frozenset[bytes] = frozenset()

    def transaction_answers(self, signature: bytes, commitment: Any) -> Iterator[bytes]:
        found = super().transaction_answers(signature, commitment)
        return iter(()) if signature in self.missing else found


class Cutting(RpcClient):
    """A node that truncates the log of one transaction, before or after its event."""

    bought = b""
    harmless = False

    def transaction_answers(self, signature: bytes, commitment: Any) -> Iterator[bytes]:
        for answer in super().transaction_answers(signature, commitment):
            body = msgspec.json.decode(answer)
            logs = body["meta"]["logMessages"]
            if signature == self.bought:
                data = next(number for number, line in enumerate(logs) if "Program data:" in line)
                kept = logs if self.harmless else logs[:data]
                body["meta"]["logMessages"] = [*kept, "Log truncated"]
            yield msgspec.json.encode(body)


def test_missing_listed_transaction_is_a_gap_until_it_is_read(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    stage.open(stage.create(1))
    lost = stage.buy(stage.market_ids[0])
    stage.step()
    stage.buy(stage.market_ids[0], user=1)
    stage.chain.control.finalize()
    flaky = Flaky(stage.chain.rpc_url, 10.0)
    flaky.missing = frozenset({lost})
    window = read_finalized_window(db, flaky, settings)
    assert window.gaps == 1
    with db.connect() as conn:
        (gap,) = health.gaps(conn)
    assert (gap.signature, gap.kind) == (lost, "unread")
    # First seen while the market changes, the difference may still be explained.
    stage.buy(stage.market_ids[0], user=2)
    stage.step(2)
    poll_confirmed(db, flaky, settings, seconds=30)
    report = compare_accounts(
        db,
        AccountReader(stage.rpc, PROGRAM),
        catch_up=lambda: read_finalized_window(db, flaky, settings),
    )
    assert {one.class_ for one in report.differences} == {"in_flight"}
    assert report.actionable == ()
    with db.begin() as conn:
        conn.execute(update(differences).values(cleared_at=func.now()))
    stage.chain.control.finalize()
    read_finalized_window(db, flaky, settings)
    report = compare_accounts(db, AccountReader(stage.rpc, PROGRAM))
    assert {one.class_ for one in report.actionable} == {"missing_event"}
    # Still missing: the gap stays open, counts attempts and waits longer each time.
    assert retry_gaps(db, flaky, settings) == 0
    with db.begin() as conn:
        (gap,) = health.gaps(conn)
        assert gap.attempts == 1
    comparison = compare_accounts(db, AccountReader(stage.rpc, PROGRAM))
    assert {one.class_ for one in comparison.actionable} == {"drift"}
    # A changing market is off by the same amount as before, so the difference is drift.
    stage.buy(stage.market_ids[0], user=2)
    stage.chain.control.finalize()
    stage.buy(stage.market_ids[0], user=2)
    stage.step(2)
    poll_confirmed(db, flaky, settings, seconds=30)
    report = compare_accounts(
        db,
        AccountReader(stage.rpc, PROGRAM),
        catch_up=lambda: read_finalized_window(db, flaky, settings),
    )
    assert {one.class_ for one in report.differences} == {"drift"}
    assert {one.occurrences for one in report.differences} == {3}
    with db.begin() as conn:
        (gap,) = health.gaps(conn)
        assert gap.retry_at > gap.opened_at
        conn.execute(update(tables.gaps).values(retry_at=tables.gaps.c.opened_at))
    stage.chain.control.finalize()
    healed = read_finalized_window(db, stage.rpc, settings)
    assert healed.gaps_closed == 1
    assert_ledger_matches_chain(db, stage)
    with db.connect() as conn:
        assert health.gaps(conn) == []
        assert health.differences(conn) == []


def test_reconciliation_records_differences_and_clears_repaired_ones(
    db: Engine, stage: Stage, settings: Settings
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    stage.buy(market_id)
    stage.chain.control.finalize()
    reader = AccountReader(stage.rpc, PROGRAM)
    first = compare_accounts(db, reader)
    assert {one.class_ for one in first.differences} == {"lag"}  # nothing is covered yet
    read_finalized_window(db, stage.rpc, settings)
    assert_ledger_matches_chain(db, stage)
    stage.buy(market_id, user=1)
    stage.step()
    poll_confirmed(db, stage.rpc, settings, seconds=30)
    # The trade is confirmed, not finalized: as of the accounts' slot nothing differs.
    assert compare_accounts(db, reader).differences == ()
    with db.begin() as conn:
        conn.exec_driver_sql("UPDATE market.markets SET total_volume = total_volume + 1")
    assert compare_accounts(db, reader).differences == ()  # that row is of a later slot
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    report = compare_accounts(db, reader)
    (found,) = report.actionable
    assert (found.difference.field, found.class_, found.occurrences) == (
        "total_volume",
        "missing_event",
        1,
    )
    assert compare_accounts(db, reader).actionable[0].class_ == "drift"
    with db.connect() as conn:
        (kept,) = health.differences(conn)
        assert (kept.class_, kept.occurrences) == ("drift", 2)
        assert len(rebuild.verify_projection(conn, PROGRAM)) == 1
    assert rebuild.rebuild_projection(db, PROGRAM).changed == (market_id,)
    assert_ledger_matches_chain(db, stage)
    with db.connect() as conn:
        assert health.differences(conn) == []


@pytest.mark.parametrize("harmless", [True, False])
def test_gap_of_truncated_log_is_closed_if_accounts_agree(
    db: Engine, stage: Stage, settings: Settings, harmless: bool
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    bought = stage.buy(market_id)
    stage.chain.control.finalize()
    node = Cutting(stage.chain.rpc_url, 10.0)
    node.bought, node.harmless = bought, harmless
    report = compare_accounts(
        db,
        AccountReader(stage.rpc, PROGRAM),
        catch_up=lambda: read_finalized_window(db, node, settings),
    )
    with db.connect() as conn:
        gaps = [one.kind for one in health.gaps(conn)]
    if harmless:
        assert (report.differences, gaps) == ((), [])
    else:
        assert {one.class_ for one in report.differences} == {"missing_event"}
        assert gaps == ["incomplete"]


def test_catch_up_leaves_no_lag(db: Engine, stage: Stage, settings: Settings) -> None:
    stage.open(stage.create(1))
    stage.buy(stage.market_ids[0])
    stage.chain.control.finalize()
    reader = AccountReader(stage.rpc, PROGRAM)
    report = compare_accounts(
        db, reader, catch_up=lambda: read_finalized_window(db, stage.rpc, settings)
    )
    assert report.differences == ()
    assert report.covered_slot is not None
    assert report.covered_slot >= report.market_slot
