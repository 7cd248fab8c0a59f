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


def check_finished_markets(system: RunningSystem) -> None:
    """Assert that each step happened once and each due transaction was sent by a Dagster run.

    Twelve of the demo's cast like a proposal and two do not, one of them on chain. On a busy
    machine the proposal may be counted, from ten ballots on, before the last of them have voted.
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
        "SELECT m.state, m.was_disputed, m.proposed_outcome, m.final_outcome, m.proposal_likes,"
        " m.proposal_dislikes, t.votes_for, t.votes_against FROM market.markets AS m"
        " JOIN voting.tallies AS t ON t.market_id = m.market_id AND t.kind = 'proposal'"
        f" WHERE m.market_id IN {first_two}"
    )
    assert len(markets) == 2
    for (
        state,
        was_disputed,
        proposed,
        final,
        likes,
        dislikes,
        frozen_for,
        frozen_against,
    ) in markets:
        assert state == 5
        assert (final is not proposed) == was_disputed, "the dispute reverses the outcome"
        assert (likes, dislikes) == (frozen_for, frozen_against), "what was counted is on chain"
        assert 10 <= likes + dislikes <= 14
        assert likes <= 12
        assert dislikes <= 2
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
