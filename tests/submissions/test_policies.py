"""The table of decisions; each row a test, thresholds and windows at their edges."""

from typing import Any

import pytest

from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, MarketState
from zmart_pipelines.submissions.policies import (
    TOPICS,
    Aggregate,
    Alert,
    Approve,
    Count,
    Decision,
    Finalize,
    Rules,
    Wait,
    decide,
)

CREATED, PROPOSED_AT, DISPUTED_AT, PERIOD = 1_000, 5_000, 5_100, 259_200
RULES = Rules(can_approve=True)


def _defaults(kind: type[Any], **values: Any) -> Any:
    filler: dict[str, Any] = {}
    for name, annotation in kind.__annotations__.items():
        text = str(annotation)
        filler[name] = (
            bytes(32)
            if "bytes" in text
            else None
            if "None" in text
            else False
            if "bool" in text
            else 0
        )
    return kind(**(filler | values))


CONFIG: GlobalConfig = _defaults(
    GlobalConfig,
    proposal_approval_threshold=7000,
    dispute_success_threshold=6000,
    dispute_period=PERIOD,
)


def market(state: MarketState, **values: Any) -> MarketAccount:
    made: MarketAccount = _defaults(
        MarketAccount,
        state=state,
        created_at=CREATED,
        resolution_proposed_at=PROPOSED_AT,
        dispute_initiated_at=DISPUTED_AT,
        **values,
    )
    return made


def proposed(likes: int = 0, dislikes: int = 0) -> MarketAccount:
    return market(
        MarketState.PROPOSED,
        proposal_likes=likes,
        proposal_dislikes=dislikes,
        proposal_total_votes=likes + dislikes,
    )


def topic(decision: Decision) -> str:
    assert isinstance(decision, Alert), decision
    assert decision.topic in TOPICS
    return decision.topic


@pytest.mark.parametrize(
    ("votes_for", "votes_against", "expected"),
    [
        (0, 0, "0 of 10 ballots"),
        (9, 0, "9 of 10 ballots"),
        (10, 0, None),
        (7, 3, None),
        (6999, 3001, "6999 of 7000 bps"),
        (7000, 3000, None),
        (69_999, 30_001, "6999 of 7000 bps"),
        (2**32 - 1, 0, None),
    ],
)
def test_proposal_threshold(votes_for: int, votes_against: int, expected: str | None) -> None:
    decision = decide(proposed(), CONFIG, CREATED, Count(votes_for, votes_against), RULES)
    if expected is None:
        assert decision == Aggregate()
    else:
        assert isinstance(decision, Wait)
        assert decision.reason == expected
        assert decision.until == CREATED + 86_400


def test_more_ballots_than_the_chain_can_hold() -> None:
    too_many = Count(2**32 - 1, 1)
    assert topic(decide(proposed(), CONFIG, CREATED, too_many, RULES)) == "too_many_ballots"
    disputed = market(MarketState.DISPUTED)
    late = DISPUTED_AT + PERIOD + 2
    assert topic(decide(disputed, CONFIG, late, too_many, RULES)) == "too_many_ballots"


def test_proposal_review_after_a_day() -> None:
    few = Count(3, 0)
    assert isinstance(decide(proposed(), CONFIG, CREATED + 86_399, few, RULES), Wait)
    assert topic(decide(proposed(), CONFIG, CREATED + 86_400, few, RULES)) == "proposal_review"
    # Late is not too late: enough ballots are aggregated on any day.
    assert decide(proposed(), CONFIG, CREATED + 86_400, Count(10, 0), RULES) == Aggregate()


def test_a_frozen_tally_is_sent_whatever_came_of_the_rules() -> None:
    frozen = Count(7, 3, frozen=True)
    stricter = Rules(min_proposal_votes=100, can_approve=True)
    assert decide(proposed(), CONFIG, CREATED, frozen, stricter) == Aggregate()


def test_approval_follows_our_counts() -> None:
    frozen = Count(7, 3, frozen=True)
    assert decide(proposed(7, 3), CONFIG, CREATED, frozen, RULES) == Approve()
    assert decide(proposed(8, 3), CONFIG, CREATED, frozen, RULES) == Aggregate()
    assert decide(proposed(7, 3), CONFIG, CREATED, Count(7, 3), RULES) == Aggregate()
    without_key = decide(proposed(7, 3), CONFIG, CREATED, frozen, Rules(can_approve=False))
    assert topic(without_key) == "approval_needs_admin"
    raised: GlobalConfig = _defaults(GlobalConfig, proposal_approval_threshold=7001)
    assert topic(decide(proposed(7, 3), raised, CREATED, frozen, RULES)) == "threshold_raised"


def test_window_of_an_undisputed_market() -> None:
    end = PROPOSED_AT + PERIOD
    resolving = market(MarketState.RESOLVING)
    for chain_time in (0, PROPOSED_AT, end - 1, end, end + 1):
        decision = decide(resolving, CONFIG, chain_time, Count(0, 0), RULES)
        assert isinstance(decision, Wait)
        assert decision.until == end + 2
    assert decide(resolving, CONFIG, end + 2, Count(0, 0), RULES) == Finalize(disputed=False)
    no_margin = Rules(window_margin_seconds=0)
    assert isinstance(decide(resolving, CONFIG, end - 1, Count(0, 0), no_margin), Wait)
    assert decide(resolving, CONFIG, end, Count(0, 0), no_margin) == Finalize(disputed=False)


@pytest.mark.parametrize("trace", [{"was_disputed": True}, {"dispute_total_votes": 1}])
def test_never_without_counts_after_a_dispute(trace: dict[str, Any]) -> None:
    resolving = market(MarketState.RESOLVING, **trace)
    decision = decide(resolving, CONFIG, PROPOSED_AT + PERIOD + 99, Count(9, 9), RULES)
    assert topic(decision) == "resolving_after_dispute"


@pytest.mark.parametrize(("setting", "period"), [(None, PERIOD), (600, 600)])
def test_end_of_a_dispute_vote(setting: int | None, period: int) -> None:
    rules = Rules(dispute_voting_seconds=setting)
    disputed = market(MarketState.DISPUTED)
    due = DISPUTED_AT + period + 2
    before = decide(disputed, CONFIG, due - 1, Count(5, 5), rules)
    assert before == Wait("the dispute vote is open", until=due)
    # The share decides on chain, not here: any count is sent.
    for count in (Count(1, 0), Count(5999, 4001), Count(6000, 4000), Count(0, 1)):
        assert decide(disputed, CONFIG, due, count, rules) == Finalize(disputed=True)
    nobody = decide(disputed, CONFIG, due, Count(0, 0), rules)
    assert topic(nobody) == "dispute_without_ballots"
    three = Rules(dispute_voting_seconds=setting, min_dispute_votes=3)
    assert topic(decide(disputed, CONFIG, due, Count(1, 1), three)) == "dispute_short_of_ballots"
    frozen = Count(1, 1, frozen=True)
    assert decide(disputed, CONFIG, due, frozen, three) == Finalize(disputed=True)


@pytest.mark.parametrize(
    "state",
    [MarketState.APPROVED, MarketState.ACTIVE, MarketState.FINALIZED, MarketState.CANCELLED],
)
def test_other_states_ask_nothing(state: MarketState) -> None:
    assert isinstance(decide(market(state), CONFIG, 2**40, Count(99, 0), RULES), Wait)
