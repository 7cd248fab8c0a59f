"""What a market waits for agrees with what the backend decides from the same facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.submissions.test_policies import CONFIG, RESOLVER, market
from zmart_pipelines.health.market_progress import MarketFacts, VoteStanding, progress
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries.configuration import VotingConfiguration
from zmart_pipelines.submissions.policies import (
    Alert,
    Count,
    OffChainFacts,
    Rules,
    Wait,
    action_of,
    decide,
)

CONFIGURATION = VotingConfiguration(
    CONFIG.proposal_approval_threshold, CONFIG.dispute_success_threshold, CONFIG.dispute_period
)
KINDS = {MarketState.PROPOSED: "proposal", MarketState.DISPUTED: "dispute"}


def standing(count: Count, state: MarketState, rules: Rules) -> VoteStanding | None:
    kind = KINDS.get(state)
    if kind is None:
        return None
    is_proposal = kind == "proposal"
    return VoteStanding(
        kind="proposal" if is_proposal else "dispute",
        round=count.round,
        votes_for=count.votes_for,
        votes_against=count.votes_against,
        ballots=count.wallets,
        minimum_ballots=rules.min_proposal_votes if is_proposal else rules.min_dispute_votes,
        threshold_bps=7000 if is_proposal else 6000,
        is_frozen=count.frozen,
        reopened_at=count.reopened_at,
    )


COUNTS = st.builds(
    Count,
    votes_for=st.integers(0, 30) | st.just(2**32 - 20),
    votes_against=st.integers(0, 30),
    frozen=st.booleans(),
    ballots=st.none() | st.integers(1, 30),
    reopened_at=st.none() | st.integers(1_000, 20_000),
)
RULES = st.builds(
    Rules,
    can_approve=st.booleans(),
    activates=st.booleans(),
    min_dispute_votes=st.integers(1, 3),
    dispute_voting_seconds=st.none() | st.integers(60, 600),
    resolvers=st.just(frozenset({RESOLVER})),
)


@given(
    state=st.sampled_from(MarketState),
    count=COUNTS,
    rules=RULES,
    is_recorded=st.booleans(),
    was_disputed=st.booleans(),
    ends_at=st.none() | st.integers(4_000, 6_000),
    chain_time=st.integers(1_000, 20_000) | st.integers(264_000, 266_000),
)
def test_pipelines_act_exactly_where_a_decision_has_an_action(
    state: MarketState,
    count: Count,
    rules: Rules,
    is_recorded: bool,
    was_disputed: bool,
    ends_at: int | None,
    chain_time: int,
) -> None:
    is_recorded &= count.frozen and count.total > 0
    recorded = (count.votes_for, count.votes_against) if is_recorded else (99, 99)
    account = market(
        state,
        proposal_likes=recorded[0],
        proposal_dislikes=recorded[1],
        was_disputed=was_disputed,
    )
    decision = decide(
        account, CONFIG, chain_time, count, rules, OffChainFacts(ends_at, resolved_by_us=True)
    )
    found = progress(
        MarketFacts(
            state=state,
            resolution_proposed_at=account.resolution_proposed_at,
            dispute_initiated_at=account.dispute_initiated_at,
            was_disputed=was_disputed,
            is_recorded=is_recorded,
            ends_at=ends_at,
            vote=standing(count, state, rules),
        ),
        CONFIGURATION,
        rules,
        chain_time,
    )
    if action_of(decision) is not None:
        assert (found.actor, found.action) == ("pipelines", action_of(decision))
    else:
        assert found.actor != "pipelines"
    if isinstance(decision, Alert) and decision.topic != "proposal_review":
        assert found.actor == "operators"
    if isinstance(decision, Wait) and state is not MarketState.PROPOSED:
        assert found.deadline == decision.until


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (Count(3, 1), "4 of 10 ballots"),
        (Count(6, 5), "5454 of 7000 basis points"),
    ],
)
def test_open_proposal_says_what_it_lacks(count: Count, words: str) -> None:
    rules = Rules()
    vote = standing(count, MarketState.PROPOSED, rules)
    facts = MarketFacts(state=MarketState.PROPOSED, vote=vote)
    found = progress(facts, CONFIGURATION, rules, 5_000)
    assert found.actor == "voters"
    assert words in found.waits_for
