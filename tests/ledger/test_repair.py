"""A market that differs from its account is repaired by reading, and by nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.ledger.onchain import Stage, assert_ledger_matches_chain
from tests.ledger.recorded_rpc import PROGRAM
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.ledger.audit.reconcile import compare_accounts
from zmart_pipelines.ledger.audit.repair import due_repairs, repair_market, repairable_markets
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import reconciliation as history

_AGES = timedelta(days=1)


class Forgetful(RpcClient):
    """A node that leaves transactions out of its listings."""

    hidden: frozenset[bytes] = frozenset()

    def signatures_for_address(self, *args: Any, **options: Any) -> list[SignatureInfo]:
        rows = super().signatures_for_address(*args, **options)
        return [row for row in rows if row.signature not in self.hidden]


@pytest.fixture
def missed(db: Engine, stage: Stage, settings: Settings) -> bytes:
    """A market with a trade that the ledger lacks although it is covered to the tip."""
    market_id = stage.create(1)
    stage.open(market_id)
    stage.buy(market_id)
    lost = stage.buy(market_id, user=1)
    stage.chain.control.finalize()
    node = Forgetful(stage.chain.rpc_url, 10.0)
    node.hidden = frozenset({lost})
    read_finalized_window(db, node, settings)
    # Move past the overlap of windows, which would read the trade again.
    stage.chain.control.advance(slots=40, seconds=20)
    stage.chain.control.finalize()
    read_finalized_window(db, node, settings)
    return market_id


def test_unlisted_trade_is_found_by_the_listing_of_its_market(
    db: Engine, stage: Stage, settings: Settings, missed: bytes
) -> None:
    reader = AccountReader(stage.rpc, PROGRAM)
    report = compare_accounts(db, reader)
    assert {one.class_ for one in report.actionable} == {"missing_event"}
    chosen = repairable_markets(report)
    assert chosen == {missed: "missing"}
    done = repair_market(db, stage.rpc, settings, missed, chosen[missed])
    assert (done.read, done.unread, done.new_transactions, done.new_events) == (1, 0, 1, 1)
    assert done.listed == 6
    assert not done.refolded
    assert_ledger_matches_chain(db, stage)
    with db.connect() as conn:
        (kept,) = history.latest_repairs(conn)
        past = [
            (one.missing_event > 0, one.drift)
            for one in history.recent_reconciliations(conn, _AGES)
        ]
        ended = history.cleared_differences(conn)
    assert (kept.market_id, kept.scope, kept.new_events) == (missed, "missing", 1)
    assert past == [(True, 0), (False, 0)]
    assert {one.field for one in ended} >= {"total_volume", "account"}


def test_unrepaired_difference_becomes_drift_and_is_read_in_full(
    db: Engine, stage: Stage, settings: Settings, database: str
) -> None:
    market_id = stage.create(1)
    stage.open(market_id)
    stage.buy(market_id)
    stage.chain.control.finalize()
    read_finalized_window(db, stage.rpc, settings)
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        conn.execute(text("UPDATE market.markets SET total_volume = total_volume + 1"))
    reader = AccountReader(stage.rpc, PROGRAM)
    assert repairable_markets(compare_accounts(db, reader)) == {market_id: "missing"}
    report = compare_accounts(db, reader)
    assert repairable_markets(report) == {market_id: "everything"}
    with db.connect() as conn:
        assert due_repairs(conn, report) == {market_id: "everything"}
    done = repair_market(db, stage.rpc, settings, market_id, "everything")
    assert (done.read, done.listed, done.new_transactions, done.contradicted) == (5, 5, 0, 0)
    assert done.refolded, "the ledger is right, its projection is not"
    assert_ledger_matches_chain(db, stage)
    # A full read that did not help is not repeated soon.
    with db.connect() as conn:
        assert due_repairs(conn, report) == {}
    with owner.begin() as conn:
        conn.execute(text("UPDATE ops.repairs SET repaired_at = now() - interval '7 hours'"))
    owner.dispose()
    with db.connect() as conn:
        assert due_repairs(conn, report) == {market_id: "everything"}
