"""Scans of the tables for due markets and for alerts to recheck."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from tests.api.seed import question
from tests.voting.world import add_market
from zmart_pipelines.monitoring.alerts import AlertKey, raise_alert
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions import due_markets, plan_alerts
from zmart_pipelines.submissions.due_markets import DueMarkets, Scanner
from zmart_pipelines.submissions.statuses import PROPOSAL_ACTIONS

NOW = 1_900_000_000
SETTINGS = Settings()
ALL_STATES = frozenset(MarketState)


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def ended_market(owner: Engine, number: int, ends_at: int) -> bytes:
    """Add an active market with this end time."""
    market = add_market(owner, number << 240, MarketState.ACTIVE)  # ids that begin differently
    with owner.begin() as conn:
        question(conn, market, "Will this market end one day?", ends_at=ends_at)
    return market


def scan(pipelines: Engine, scanner: Scanner, chain_time: int = NOW) -> DueMarkets:
    with pipelines.begin() as conn:
        # No configuration has been ingested: no window ends and no tally passes.
        return due_markets.scan_due_markets(
            conn, SETTINGS, actions={"finalize_market"}, chain_time=chain_time, scanner=scanner
        )


def sensed(pipelines: Engine, chain_time: int = NOW) -> set[bytes]:
    return set(scan(pipelines, "sensor", chain_time).to_run)


def planned(pipelines: Engine, chain_time: int = NOW) -> set[bytes]:
    return set(scan(pipelines, "plan", chain_time).to_read)


def test_recent_ends_are_found_by_each_scan_and_older_ones_every_ten_minutes(
    owner: Engine, pipelines: Engine
) -> None:
    first = ended_market(owner, 1, NOW - 100_000)
    for due in (sensed, planned):
        assert due(pipelines) == {first}, "the first scan goes back to the beginning"
    recent, missed = ended_market(owner, 2, NOW - 3599), ended_market(owner, 3, NOW - 3601)
    for due in (sensed, planned):
        assert due(pipelines) == {recent}
        assert due(pipelines, NOW + 599) == set()
        assert due(pipelines, NOW + 600) == {first, recent, missed}


def test_market_with_an_open_alert_is_not_due(owner: Engine, pipelines: Engine) -> None:
    market = ended_market(owner, 1, NOW - 10)
    with pipelines.begin() as conn:
        raise_alert(conn, AlertKey("resolution_due", market), "medium", "over")
    assert sensed(pipelines) == planned(pipelines) == set()


def test_scan_for_proposal_actions_ignores_ended_markets(owner: Engine, pipelines: Engine) -> None:
    market = ended_market(owner, 1, NOW - 10)
    with pipelines.begin() as conn:
        due = due_markets.scan_due_markets(
            conn, SETTINGS, actions=PROPOSAL_ACTIONS, chain_time=NOW, scanner="plan"
        )
    assert due.to_read == due.to_run == ()
    assert planned(pipelines) == {market}, "the cursors of the two groups are separate"


def recheck(
    pipelines: Engine,
    chain_time: int = NOW,
    states: frozenset[MarketState] = ALL_STATES,
    *,
    commit: bool = True,
) -> list[AlertKey]:
    with pipelines.connect() as conn:
        keys = plan_alerts.alerts_to_recheck(conn, states, chain_time)
        if commit:
            conn.commit()
    return keys


def test_standing_alerts_are_rechecked_when_their_market_changes_state(
    owner: Engine, pipelines: Engine
) -> None:
    standing, changing = (ended_market(owner, number, NOW - 10) for number in (1, 2))
    with pipelines.begin() as conn:
        for market in (standing, changing):
            raise_alert(conn, AlertKey("resolution_due", market), "medium", "over")
        raise_alert(conn, AlertKey("approval_needs_admin", standing), "medium", "sign")
        raise_alert(conn, AlertKey("stalled", subject="node"), "high", "not an alert of a plan")
    repeated = AlertKey("approval_needs_admin", standing)
    assert recheck(pipelines) == recheck(pipelines) == [repeated]
    set_state(owner, changing, MarketState.RESOLVING)
    outlived = AlertKey("resolution_due", changing)
    assert set(recheck(pipelines, commit=False)) == {repeated, outlived}
    assert set(recheck(pipelines)) == {repeated, outlived}
    # The change is dequeued; if the alert was not cleared, a later full scan finds it.
    assert recheck(pipelines) == [repeated]
    assert set(recheck(pipelines, NOW + 600)) == {repeated, outlived}


def test_alerts_of_states_that_the_plan_does_not_cover_are_left_open(
    owner: Engine, pipelines: Engine
) -> None:
    market = ended_market(owner, 1, NOW + 10)
    set_state(owner, market, MarketState.DISPUTED)
    key = AlertKey("bundle_not_pinned", market)
    with pipelines.begin() as conn:
        raise_alert(conn, key, "high", "no space left")
    proposed, disputed = frozenset({MarketState.PROPOSED}), frozenset({MarketState.DISPUTED})
    assert recheck(pipelines, states=proposed) == []
    assert recheck(pipelines, states=disputed) == [key]
    set_state(owner, market, MarketState.FINALIZED)
    assert recheck(pipelines, states=proposed) == [key], "the topic no longer applies"


def set_state(owner: Engine, market: bytes, state: MarketState) -> None:
    with owner.begin() as conn:
        conn.execute(
            text("UPDATE market.markets SET state = :state WHERE market_id = :market"),
            {"state": int(state), "market": market},
        )
