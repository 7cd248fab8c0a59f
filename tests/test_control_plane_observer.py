"""The observer of ``under_load`` and of the drills sees what is late and which health is false."""

import msgspec

from tests.fixtures.control_plane import FinalizedLag, Lag, Samples
from tests.fixtures.owed_actions import Observation, OwedActions
from tests.submissions.test_policies import CONFIG, DISPUTED_AT, PERIOD, PROPOSED_AT, market
from zmart_pipelines.program.accounts import MarketAccount, MarketState
from zmart_pipelines.settings import Settings

SETTINGS = Settings(min_proposal_votes=10, window_margin_seconds=2)
MARKET = bytes(32)
SUFFICIENT, TOO_FEW = {(MARKET, "proposal"): (8, 10)}, {(MARKET, "proposal"): (8, 9)}


def seen(
    at: float,
    account: MarketAccount,
    chain_time: int = 0,
    votes: dict[tuple[bytes, str], tuple[int, int]] | None = None,
) -> Observation:
    return Observation(at, chain_time, [account], votes or {})


def test_aggregation_and_approval_are_timed_from_when_they_are_due() -> None:
    owed = OwedActions(CONFIG, SETTINGS)
    proposal = market(MarketState.PROPOSED)
    counted = msgspec.structs.replace(proposal, proposal_total_votes=10)
    owed.observe(seen(10, proposal, votes=TOO_FEW))
    assert owed.open() == set()
    owed.observe(seen(20, proposal, votes=SUFFICIENT))
    owed.observe(seen(81, proposal, votes=SUFFICIENT))
    assert owed.overdue(60) == {("aggregate", MARKET)}
    owed.observe(seen(90, counted, votes=SUFFICIENT))
    assert owed.overdue(60) == set()
    owed.observe(seen(93, market(MarketState.APPROVED)))
    assert (owed.seconds("aggregate"), owed.seconds("approve")) == ([70], [3])


def test_finalization_is_due_after_window_or_vote_and_margin() -> None:
    for state, begin in (
        (MarketState.RESOLVING, PROPOSED_AT),
        (MarketState.DISPUTED, DISPUTED_AT),
    ):
        owed = OwedActions(CONFIG, SETTINGS)
        due = begin + PERIOD + 2
        votes = {(MARKET, "dispute"): (1, 1)}
        owed.observe(seen(1, market(state), due - 1, votes))
        assert owed.open() == set()
        owed.observe(seen(2, market(state), due, votes))
        assert owed.open() == {("finalize", MARKET)}
        owed.observe(seen(9, market(MarketState.FINALIZED), due + 7))
        assert owed.seconds("finalize") == [7]


def test_dispute_without_a_ballot_is_not_owed() -> None:
    owed = OwedActions(CONFIG, SETTINGS)
    owed.observe(seen(1, market(MarketState.DISPUTED), DISPUTED_AT + PERIOD + 99))
    assert owed.open() == set()


def test_what_was_due_and_done_between_two_observations_counts_in_full() -> None:
    owed = OwedActions(CONFIG, SETTINGS)
    owed.observe(seen(5, market(MarketState.ACTIVE)))
    owed.observe(seen(8, market(MarketState.FINALIZED)))
    assert owed.seconds("finalize") == [3]


def test_lag_is_the_age_of_the_oldest_slot_that_was_not_read() -> None:
    lag = FinalizedLag()
    assert lag.sample(0, chain_slot=100, ledger_slot=100) == Lag(0, 0)
    assert lag.sample(10, chain_slot=120, ledger_slot=100) == Lag(20, 0)
    assert lag.sample(70, chain_slot=200, ledger_slot=100) == Lag(100, 60)
    assert lag.sample(80, chain_slot=210, ledger_slot=150) == Lag(60, 10)
    assert lag.sample(90, chain_slot=220, ledger_slot=230) == Lag(0, 0)


def test_green_health_is_false_where_the_fault_lasted_from_before_to_after() -> None:
    samples = Samples()
    nothing = Lag(0, 0)
    for faults, green in (
        ("", True),
        ("a", True),  # it came after health was asked
        ("b", True),  # another one
        ("ba", True),
        ("b", False),
        ("", True),
    ):
        samples.add(nothing, set(faults), set(faults), green=green)
    assert (samples.broken, samples.falsely_green, samples.green) == (2, 1, 5)


def test_fault_is_not_known_to_last_over_a_failed_observation() -> None:
    samples = Samples()
    samples.add(Lag(0, 0), {"a"}, {"a"}, green=False)
    samples.add_failed()
    samples.add(Lag(0, 0), {"a"}, {"a"}, green=True)
    assert (samples.broken, samples.hidden) == (0, [])
    samples.add(Lag(0, 0), {"a"}, {"a"}, green=True)
    assert (samples.broken, samples.hidden) == (1, ["a"])


def test_what_health_need_not_have_noticed_yet_is_broken_but_not_hidden() -> None:
    samples = Samples()
    for _ in range(3):
        samples.add(Lag(0, 0), {"a"}, set(), green=True)
    assert (samples.broken, samples.falsely_green, samples.hidden) == (2, 0, [])
