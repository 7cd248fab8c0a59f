"""What must be true once the first two markets are finished."""

from tests.fixtures.running_system import RunningSystem

STEPS = {
    "MarketCreated",
    "ProposalAggregated",
    "ProposalApproved",
    "MarketActivated",
    "MarketResolved",
    "MarketFinalized",
}


def two_markets_finished(system: RunningSystem) -> bool:
    """Return whether two markets are finalized, paid out and closed, also in the ledger."""
    if system.output.read_text().count("paid out and closed") < 2:
        return False
    withdrawn = "SELECT count(*) FROM chain.events WHERE name = 'LiquidityWithdrawn'"
    return bool(system.query(withdrawn)[0][0] >= 2)


def check_finished_markets(system: RunningSystem, *, everybody_voted: bool = True) -> None:
    """Assert that each step happened once and each due transaction was sent by a Dagster run.

    Args:
        system: The system whose first two markets have finished.
        everybody_voted: Whether the demo's whole cast voted before each proposal was counted.
    """
    first_two = "(SELECT market_id FROM market.markets ORDER BY created_at, market_id LIMIT 2)"
    counts: dict[bytes, dict[str, int]] = {}
    for market_id, name, number in system.query(
        "SELECT market_id, name, count(*) FROM chain.events "
        f"WHERE commitment <> 'orphaned' AND market_id IN {first_two} GROUP BY 1, 2"
    ):
        counts.setdefault(bytes(market_id), {})[name] = number
    assert len(counts) == 2
    for steps in counts.values():
        assert {name: steps.get(name) for name in STEPS} == dict.fromkeys(STEPS, 1)
        assert steps.get("WinningsClaimed", 0) >= 1
        assert steps.get("LiquidityWithdrawn") == 1
    disputed = [steps.get("DisputeInitiated", 0) for steps in counts.values()]
    assert sorted(disputed) == [0, 1], "one with a dispute, one without"

    markets = system.query(
        "SELECT state, was_disputed, proposed_outcome, final_outcome, proposal_likes, "
        f"proposal_dislikes FROM market.markets WHERE market_id IN {first_two}"
    )
    for state, was_disputed, proposed, final, likes, dislikes in markets:
        assert state == 5
        assert (final is not proposed) == was_disputed, "the dispute reverses the outcome"
        if everybody_voted:
            assert (likes, dislikes) == (12, 2), "every vote counts, also those cast on chain"
    uncounted = system.query(
        f"SELECT count(*) FROM voting.ballots AS b WHERE market_id IN {first_two} AND NOT EXISTS ("
        "SELECT FROM voting.counted_ballots AS c WHERE (c.market_id, c.kind, c.round, c.wallet) "
        "= (b.market_id, b.kind, b.round, b.wallet))"
    )
    assert uncounted == [(0,)], "every acknowledged ballot counts"

    sent = system.query(
        "SELECT i.action, count(DISTINCT i.id), count(a.id), bool_and(a.run_id IS NOT NULL) "
        "FROM ops.intents i JOIN ops.attempts a ON a.intent_id = i.id AND a.status = 'final' "
        f"WHERE i.market_id IN {first_two} GROUP BY 1 ORDER BY 1"
    )
    assert sent == [
        ("aggregate_proposal_votes", 2, 2, True),
        ("approve_proposal", 2, 2, True),
        ("finalize_market", 2, 2, True),
    ]
