"""What a look finds by the tables alone: at once what is recent, and all of it every so often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from tests.api.seed import question
from tests.voting.world import add_market
from zmart_pipelines.monitoring.alerts import AlertKey, raise_alert
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.submissions import candidates

NOW = 1_900_000_000
TIMES = candidates.VotingPeriods(dispute_window=10**9, dispute_vote=10**9, margin=2)
SETTINGS = Settings()


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    made = engine(Role.OWNER, database)
    yield made
    made.dispose()


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def over(owner: Engine, number: int, ends_at: int) -> bytes:
    """An active market whose question was decided then."""
    market = add_market(owner, number << 240, MarketState.ACTIVE)  # ids that begin differently
    with owner.begin() as conn:
        question(conn, market, "Will this market end one day?")
        conn.execute(
            text(
                "UPDATE community.market_drafts SET ends_at = to_timestamp(:at)"
                " WHERE market_id = :market"
            ),
            {"at": ends_at, "market": market},
        )
    return market


def sensed(pipelines: Engine, chain_time: int = NOW) -> set[bytes]:
    """What the sensor's look finds for the run that finalizes and tells."""
    with pipelines.begin() as conn:
        # The ledger has seen no configuration: nothing else is due.
        return set(candidates.due(conn, SETTINGS, chain_time=chain_time).finalizations)


def planned(pipelines: Engine, chain_time: int = NOW) -> set[bytes]:
    with pipelines.begin() as conn:
        return set(candidates.to_look_at(conn, SETTINGS, chain_time=chain_time, times=TIMES))


def test_recent_ends_are_found_at_once_and_missed_ones_every_ten_minutes(
    owner: Engine, pipelines: Engine
) -> None:
    first = over(owner, 1, NOW - 100_000)
    for look in (sensed, planned):
        assert look(pipelines) == {first}, "the first look goes back to the beginning"
    recent, missed = over(owner, 2, NOW - 3599), over(owner, 3, NOW - 3601)
    for look in (sensed, planned):
        assert look(pipelines) == {recent}
        assert look(pipelines, NOW + 599) == set()
        assert look(pipelines, NOW + 600) == {first, recent, missed}


def test_what_people_know_is_not_found(owner: Engine, pipelines: Engine) -> None:
    market = over(owner, 1, NOW - 10)
    with pipelines.begin() as conn:
        raise_alert(conn, AlertKey("resolution_due", market), "medium", "over")
    assert sensed(pipelines) == planned(pipelines) == set()


def stale(pipelines: Engine, chain_time: int = NOW, *, commit: bool = True) -> list[AlertKey]:
    with pipelines.connect() as conn:
        keys = candidates.alerts_to_recheck(conn, chain_time)
        if commit:
            conn.commit()
    return keys


def test_alerts_that_stand_are_looked_at_when_their_market_moves(
    owner: Engine, pipelines: Engine
) -> None:
    standing, moving = (over(owner, number, NOW - 10) for number in (1, 2))
    with pipelines.begin() as conn:
        for market in (standing, moving):
            raise_alert(conn, AlertKey("resolution_due", market), "medium", "over")
        raise_alert(conn, AlertKey("approval_needs_admin", standing), "medium", "sign")
        raise_alert(conn, AlertKey("stalled", subject="node"), "high", "none of a plan's")
    passing = AlertKey("approval_needs_admin", standing)
    assert stale(pipelines) == stale(pipelines) == [passing]
    with owner.begin() as conn:
        conn.execute(
            text("UPDATE market.markets SET state = :state WHERE market_id = :market"),
            {"state": int(MarketState.RESOLVING), "market": moving},
        )
    outlived = AlertKey("resolution_due", moving)
    assert set(stale(pipelines, commit=False)) == {passing, outlived}
    assert set(stale(pipelines)) == {passing, outlived}
    # It is done with the move; should it not have been cleared, a later look finds it.
    assert stale(pipelines) == [passing]
    assert set(stale(pipelines, NOW + 600)) == {passing, outlived}
    with pipelines.connect() as conn:
        assert set(candidates.alerts_to_recheck(conn)) == {passing, outlived}, (
            "those who ask for all"
        )
