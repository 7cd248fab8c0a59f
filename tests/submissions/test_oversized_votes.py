"""Votes that do not fit the chain's u32: frozen, reopened with a coarser unit, finalized."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from tests.submissions.oversized_vote import oversized_vote
from tests.submissions.test_drive import open_alerts
from tests.submissions.world import World
from zmart_pipelines.health.market_status import read_market_status
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import deadlines, markets
from zmart_pipelines.submissions.policies import MAX_VOTES
from zmart_pipelines.voting import tallies

PERIOD = 3_600


@pytest.mark.parametrize("world", [("--dispute-period", str(PERIOD))], indirect=True)
def test_oversized_vote_is_frozen_reopened_and_finalized(world: World) -> None:
    # From here on the chain's clock is ahead of the database's, by which nothing is judged.
    world.pass_time(int(time.time()) - world.rpc.chain_clock("finalized").unix_timestamp)
    market = oversized_vote(world, period=PERIOD)
    assert world.plan() == []
    assert open_alerts(world) == {f"too_many_ballots:{market.hex()}"}
    reopened_at = world.rpc.chain_clock("finalized").unix_timestamp
    with world.engine.begin() as conn:
        first = tallies.read_frozen(conn, market, "dispute", 0)
        assert first.tally.total > MAX_VOTES
        assert (first.tally.weight_unit, first.tally.ballots) == (1, 3)
        assert tallies.reopen(conn, market, "dispute", reopened_at) == 1
        assert tallies.read_frozen(conn, market, "dispute", 0).ballots == first.ballots
        second = tallies.current_tally(conn, market, "dispute")
        assert second.weight_unit is not None
        assert second.weight_unit > 1

    # The voters have the whole period again: the next plan neither finalizes nor raises an alert.
    world.vote(market, [False], kind="dispute", round_number=1)
    assert world.plan() == []
    assert open_alerts(world) == set()
    with world.engine.connect() as conn:
        row = markets.get(conn, market)
        assert row is not None
        status = read_market_status(conn, world.settings, row)
        assert (status.waits_for, status.actor) == ("the end of its dispute vote", "voters")
        (next_one,) = deadlines.next_deadlines(conn, window=0, vote=PERIOD, limit=5)
        assert next_one.at == reopened_at + PERIOD

    world.vote(market, [False, True], kind="dispute", first=2, round_number=1)
    world.pass_time(PERIOD + 60)
    (intent,) = world.plan()
    weights = {one.wallet: one.weight // second.weight_unit for one in first.ballots}
    with world.engine.connect() as conn:
        counted = tallies.read_frozen(conn, market, "dispute", 1)
        assert {one.wallet: one.weight for one in counted.ballots} == weights
        assert tallies.find_mismatches(conn) == []
    assert counted.tally.total == sum(weights.values()) <= MAX_VOTES
    assert intent.arguments == {
        "agree": counted.tally.votes_for,
        "disagree": counted.tally.votes_against,
    }
    assert {one.status for one in world.drive().outcomes} == {"final"}
    assert world.market(market).state == MarketState.FINALIZED
    with world.engine.connect() as conn:
        stored = conn.execute(text("SELECT count(*) FROM voting.ballots WHERE kind = 'dispute'"))
        assert stored.scalar_one() == 6, "no ballot of either round is lost"
