"""The table of decisions; each row a test, thresholds and windows at their edges."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.alerts import NO_CONSENSUS
from zmart_pipelines.submissions.policies import (
    TOPIC_STATES,
    Activate,
    Aggregate,
    Alert,
    Approve,
    Count,
    Decision,
    Finalize,
    OffChainFacts,
    Rules,
    Wait,
    decide,
    resolution_obstacle,
    rules,
)

CREATED, PROPOSED_AT, DISPUTED_AT, PERIOD = 1_000, 5_000, 5_100, 259_200
RESOLVER = bytes([7] * 32)
RULES = Rules(can_approve=True, resolvers=frozenset({RESOLVER}))
_FACTS = OffChainFacts()
TABLE = Path(__file__).parents[2] / "docs" / "ballots.md"


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
        **{"resolver": RESOLVER} | values,
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
    assert decision.topic in TOPIC_STATES
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


def test_weights_do_not_stand_in_for_wallets() -> None:
    """The least number is of ballots, the share is of votes."""
    heavy = Count(700, 300, ballots=9)
    assert decide(proposed(), CONFIG, CREATED, heavy, RULES) == Wait(
        "9 of 10 ballots", until=CREATED + 86_400
    )
    enough = Count(700, 300, ballots=10)
    assert decide(proposed(), CONFIG, CREATED, enough, RULES) == Aggregate()
    disputed, late = market(MarketState.DISPUTED), DISPUTED_AT + PERIOD + 2
    two = Rules(min_dispute_votes=2)
    alone = decide(disputed, CONFIG, late, Count(10**9, 0, ballots=1), two)
    assert topic(alone) == "dispute_short_of_ballots"
    both = Count(10**9, 1, ballots=2)
    assert decide(disputed, CONFIG, late, both, two) == Finalize(disputed=True)


def test_more_ballots_than_the_chain_can_hold() -> None:
    too_many = Count(2**32 - 1, 1)
    assert topic(decide(proposed(), CONFIG, CREATED, too_many, RULES)) == "too_many_ballots"
    disputed = market(MarketState.DISPUTED)
    late = DISPUTED_AT + PERIOD + 2
    assert topic(decide(disputed, CONFIG, late, too_many, RULES)) == "too_many_ballots"


def test_proposal_review_after_a_day() -> None:
    few = Count(3, 0)
    assert isinstance(decide(proposed(), CONFIG, CREATED + 86_399, few, RULES), Wait)
    late = decide(proposed(), CONFIG, CREATED + 86_400, few, RULES)
    assert topic(late) == "proposal_review"
    assert isinstance(late, Alert)
    assert late.reason == "no consensus within 86400 s: 3 of 10 ballots, 3 for and 0 against"
    assert set(late.detail) == set(NO_CONSENSUS)
    assert (late.detail["votes_for"], late.detail["ballots"]) == (3, 3)
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
    no_margin = Rules(window_margin_seconds=0, resolvers=RULES.resolvers)
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
    without_ballots = decide(disputed, CONFIG, due, Count(0, 0), rules)
    assert topic(without_ballots) == "dispute_without_ballots"
    three = Rules(dispute_voting_seconds=setting, min_dispute_votes=3)
    assert topic(decide(disputed, CONFIG, due, Count(1, 1), three)) == "dispute_short_of_ballots"
    frozen = Count(1, 1, frozen=True)
    assert decide(disputed, CONFIG, due, frozen, three) == Finalize(disputed=True)


def test_reopened_dispute_has_the_whole_period_again() -> None:
    disputed = market(MarketState.DISPUTED)
    reopened_at = DISPUTED_AT + 10 * PERIOD
    due = reopened_at + PERIOD + 2
    one = Count(1, 0, round=1, reopened_at=reopened_at)
    assert decide(disputed, CONFIG, due - 1, one, RULES) == Wait(
        "the dispute vote is open", until=due
    )
    assert decide(disputed, CONFIG, due, one, RULES) == Finalize(disputed=True)
    earlier = Count(1, 0, round=1, reopened_at=DISPUTED_AT - 1)
    again = DISPUTED_AT + PERIOD + 2
    assert decide(disputed, CONFIG, again, earlier, RULES) == Finalize(disputed=True)


@pytest.mark.parametrize("state", [MarketState.FINALIZED, MarketState.CANCELLED])
def test_other_states_ask_nothing(state: MarketState) -> None:
    assert isinstance(decide(market(state), CONFIG, 2**40, Count(99, 0), RULES), Wait)


def test_activation_only_with_auto_activate() -> None:
    approved = market(MarketState.APPROVED)
    assert isinstance(decide(approved, CONFIG, CREATED, Count(0, 0), RULES), Wait)
    key = SecretStr("the admin's")
    for settings, expected in (
        (Settings(), False),
        (Settings(auto_activate=True), False),
        (Settings(admin_private_key=key), False),
        (Settings(auto_activate=True, admin_private_key=key), True),
    ):
        made = rules(settings)
        assert made.activates is expected
        decision = decide(approved, CONFIG, CREATED, Count(0, 0), made)
        assert isinstance(decision, Activate if expected else Wait)


def test_the_end_of_a_market() -> None:
    active = market(MarketState.ACTIVE)
    for now, ends_at in ((2**40, None), (999, 1_000)):
        decision = decide(active, CONFIG, now, Count(0, 0), RULES, OffChainFacts(ends_at=ends_at))
        assert decision == Wait("the market is trading", until=ends_at)
    ended = decide(active, CONFIG, 1_000, Count(0, 0), RULES, OffChainFacts(ends_at=1_000))
    assert topic(ended) == "resolution_due"


def test_who_may_resolve_without_an_alert() -> None:
    """Listed resolvers and our own raise no alert; the severity is high only with a list."""
    now = PROPOSED_AT + 1

    def decision_on(resolver: bytes, rules: Rules, facts: OffChainFacts = _FACTS) -> Decision:
        resolving = market(MarketState.RESOLVING, resolver=resolver, proposed_outcome=True)
        return decide(resolving, CONFIG, now, Count(0, 0), rules, facts)

    unlisted_key = bytes([8] * 32)
    assert isinstance(decision_on(RESOLVER, RULES), Wait)
    flagged = decision_on(unlisted_key, RULES)
    assert topic(flagged) == "unexpected_resolution"
    assert isinstance(flagged, Alert)
    assert flagged.severity == "high"
    assert str(Pubkey(unlisted_key)) in flagged.reason
    assert "proposed outcome is YES" in flagged.reason
    unlisted = decision_on(unlisted_key, Rules())
    assert isinstance(unlisted, Alert)
    assert unlisted.severity == "medium"
    assert isinstance(decision_on(unlisted_key, RULES, OffChainFacts(resolved_by_us=True)), Wait)
    assert isinstance(decision_on(RESOLVER, RULES, OffChainFacts(ends_at=PROPOSED_AT)), Wait)
    early = decision_on(RESOLVER, RULES, OffChainFacts(ends_at=PROPOSED_AT + 60))
    assert isinstance(early, Alert)
    assert "60 s before its end time" in early.reason
    ours = OffChainFacts(ends_at=PROPOSED_AT + 60, resolved_by_us=True)
    assert isinstance(decision_on(RESOLVER, RULES, ours), Wait)


@pytest.mark.parametrize(
    ("account", "now", "ends_at", "before_end", "fault"),
    [
        (None, 50, None, False, "does not exist on chain"),
        (market(MarketState.APPROVED), 50, None, False, "only an ACTIVE market"),
        (market(MarketState.RESOLVING), 50, None, True, "only an ACTIVE market"),
        (market(MarketState.ACTIVE, activated_at=50), 50, None, True, "the current second"),
        (market(MarketState.ACTIVE, activated_at=50), 51, None, False, None),
        (market(MarketState.ACTIVE, activated_at=50), 99, 100, False, "end time is 1 s ahead"),
        (market(MarketState.ACTIVE, activated_at=50), 99, 100, True, None),
        (market(MarketState.ACTIVE, activated_at=50), 100, 100, False, None),
    ],
)
def test_resolution_obstacles(
    account: MarketAccount | None,
    now: int,
    ends_at: int | None,
    before_end: bool,
    fault: str | None,
) -> None:
    found = resolution_obstacle(account, now, ends_at, before_end=before_end)
    assert (found is None) == (fault is None)
    assert fault is None or fault in str(found)


# Each row of the documentation's table: what is found, and what is said about it there.
Row = tuple[MarketAccount, int, Count, Rules, OffChainFacts, str]
_END = PROPOSED_AT + PERIOD + RULES.window_margin_seconds
_VOTED = DISPUTED_AT + PERIOD + RULES.window_margin_seconds
_RESOLVING, _DISPUTED = market(MarketState.RESOLVING), market(MarketState.DISPUTED)
_STRANGERS = market(MarketState.RESOLVING, resolver=bytes(32))
_ACTIVATES = Rules(can_approve=True, activates=True)
_NONE, _TEN = Count(0, 0), Count(7, 3)
_FROZEN = Count(7, 3, frozen=True)
_FALLEN = Count(6, 4, frozen=True)
ROWS: dict[str, Row] = {
    "P1": (proposed(), CREATED, Count(9, 0), RULES, _FACTS, "wait"),
    "P2": (proposed(), CREATED, Count(6, 4), RULES, _FACTS, "wait"),
    "P3": (proposed(), CREATED + 86_400, Count(6, 4), RULES, _FACTS, "alert proposal_review"),
    "P4": (proposed(), CREATED + 86_400, _TEN, RULES, _FACTS, "aggregate_proposal_votes"),
    "P5": (proposed(), CREATED, _FROZEN, RULES, _FACTS, "aggregate_proposal_votes"),
    "P6": (proposed(7, 3), CREATED, _FROZEN, RULES, _FACTS, "approve_proposal"),
    "P7": (proposed(7, 3), CREATED, _FROZEN, Rules(), _FACTS, "alert approval_needs_admin"),
    "P8": (proposed(6, 4), CREATED, _FALLEN, RULES, _FACTS, "alert threshold_raised"),
    "A1": (market(MarketState.APPROVED), CREATED, _NONE, _ACTIVATES, _FACTS, "activate_market"),
    "A2": (market(MarketState.APPROVED), CREATED, _NONE, RULES, _FACTS, "wait"),
    "T1": (market(MarketState.ACTIVE), 99, _NONE, RULES, OffChainFacts(ends_at=100), "wait"),
    "T2": (
        market(MarketState.ACTIVE),
        100,
        _NONE,
        RULES,
        OffChainFacts(ends_at=100),
        "alert resolution_due",
    ),
    "R1": (_RESOLVING, _END - 1, _NONE, RULES, _FACTS, "wait"),
    "R2": (_STRANGERS, _END - 1, _NONE, RULES, _FACTS, "alert unexpected_resolution"),
    "R3": (
        _RESOLVING,
        _END - 1,
        _NONE,
        RULES,
        OffChainFacts(ends_at=PROPOSED_AT + 1),
        "alert unexpected_resolution",
    ),
    "R4": (_STRANGERS, _END, _NONE, RULES, _FACTS, "finalize_market(None, None)"),
    "R5": (
        market(MarketState.RESOLVING, was_disputed=True),
        _END,
        _NONE,
        RULES,
        _FACTS,
        "alert resolving_after_dispute",
    ),
    "D1": (_DISPUTED, _VOTED - 1, Count(9, 9), RULES, _FACTS, "wait"),
    "D2": (_DISPUTED, _VOTED, Count(0, 1), RULES, _FACTS, "finalize_market(agree, disagree)"),
    "D3": (_DISPUTED, _VOTED, _NONE, RULES, _FACTS, "alert dispute_without_ballots"),
    "D4": (
        _DISPUTED,
        _VOTED,
        Count(1, 0),
        Rules(min_dispute_votes=2),
        _FACTS,
        "alert dispute_short_of_ballots",
    ),
    "V1": (_DISPUTED, _VOTED, Count(2**32, 0), RULES, _FACTS, "alert too_many_ballots"),
    "E1": (market(MarketState.FINALIZED), 2**40, _TEN, RULES, _FACTS, "wait"),
}


def _word(decision: Decision) -> str:
    match decision:
        case Wait():
            return "wait"
        case Alert():
            return f"alert {topic(decision)}"
        case Aggregate():
            return "aggregate_proposal_votes"
        case Approve():
            return "approve_proposal"
        case Activate():
            return "activate_market"
        case Finalize(disputed=True):
            return "finalize_market(agree, disagree)"
        case Finalize():
            return "finalize_market(None, None)"


@pytest.mark.parametrize("name", ROWS)
def test_each_row_of_the_documented_table(name: str) -> None:
    account, now, count, its_rules, known, expected = ROWS[name]
    assert _word(decide(account, CONFIG, now, count, its_rules, known)) == expected
    states, decision_text = documented()[name]
    assert MarketState(account.state).name in states
    assert expected in decision_text.replace("`", "")


def test_the_documentation_has_no_row_without_a_test() -> None:
    assert documented().keys() == ROWS.keys()
    said = {row[-1].removeprefix("alert ") for row in ROWS.values() if row[-1].startswith("alert ")}
    # These come of the reading and the pinning, not of a decision.
    assert said | {"bundle_not_pinned", "market_unreadable", "planning_failed"} == set(TOPIC_STATES)


def documented() -> dict[str, tuple[list[str], str]]:
    """State and decision of each row of the table."""
    lines = (line.split("|") for line in TABLE.read_text().splitlines())
    return {
        cells[1].strip(): (cells[2].strip().split(", "), cells[4].strip())
        for cells in lines
        if len(cells) == 6 and re.fullmatch(r" [A-Z]\d+ ", cells[1])
    }


@pytest.mark.parametrize("name", TOPIC_STATES)
def test_operations_page_describes_each_alert(name: str) -> None:
    rows = [line.split("|") for line in TABLE.with_name("operations.md").read_text().splitlines()]
    link = f"[`{name}`](runbooks/{name}.md)"
    ((_, _, severity, meaning, act, _),) = (
        cells for cells in rows if len(cells) == 6 and cells[1].strip() == link
    )
    assert set(severity.strip().split(", ")) <= {"low", "medium", "high", "critical"}
    assert min(len(meaning.strip()), len(act.strip())) > 10
