"""The script of the cast, run against a small model of a market."""

import random
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from demo.script import (
    CAST,
    Act,
    Activate,
    Claim,
    Comment,
    Dispute,
    DisputeVote,
    Holding,
    MarketView,
    Plan,
    Resolve,
    Trade,
    Vote,
    Withdraw,
    is_over,
    next_act,
    plan,
)

NUMBERS = st.integers(0, 500)
EMPTY = Holding(0, 0, 0, False)


@dataclass
class Model:
    """A market as program and pipelines would process it."""

    plan: Plan
    state: str = "PROPOSED"
    acts: list[Act] = field(default_factory=list)
    holdings: dict[str, Holding] = field(default_factory=dict)
    voters: set[str] = field(default_factory=set)
    dispute_voters: set[str] = field(default_factory=set)
    comments: int = 0
    outcome: bool | None = None
    withdrawn: bool = False

    def view(self) -> MarketView:
        return MarketView(
            state=self.state,
            proposal_voters=frozenset(self.voters),
            dispute_voters=frozenset(self.dispute_voters),
            holdings=dict(self.holdings),
            comments=self.comments,
            final_outcome=self.outcome,
            withdrawn=self.withdrawn,
        )

    def apply(self, act: Act) -> None:
        self.acts.append(act)
        match act:
            case Vote():
                assert self.state == "PROPOSED"
                assert act.person not in self.voters
                self.voters.add(act.person)
            case Activate():
                assert (self.state, act.person) == ("APPROVED", self.plan.creator)
                self.state = "ACTIVE"
            case Trade():
                assert self.state == "ACTIVE"
                held = self.holdings.get(act.person, EMPTY)
                self.holdings[act.person] = replace(
                    held,
                    trades=held.trades + 1,
                    yes=held.yes + act.outcome,
                    no=held.no + (not act.outcome),
                )
            case Comment():
                self.comments += 1
            case Resolve():
                assert self.state == "ACTIVE"
                self.state = "RESOLVING"
            case Dispute():
                assert self.state == "RESOLVING"
                self.state = "DISPUTED"
            case DisputeVote():
                assert self.state == "DISPUTED"
                assert act.person in self.holdings, "only holders may vote in a dispute"
                assert act.person not in self.dispute_voters
                self.dispute_voters.add(act.person)
            case Claim():
                held = self.holdings[act.person]
                assert not held.claimed
                assert not self.withdrawn, "the winners' money was withdrawn"
                assert (held.yes if self.outcome else held.no) > 0
                self.holdings[act.person] = replace(held, claimed=True)
            case Withdraw():
                assert act.person == self.plan.creator
                self.withdrawn = True

    def backend(self) -> None:
        """Do the pipelines' work while the cast waits."""
        if self.state == "PROPOSED":
            likes = sum(v.choice for v in self.acts if isinstance(v, Vote))
            assert len(self.voters) >= 10
            assert likes * 10000 // len(self.voters) >= 7000
            self.state = "APPROVED"
        elif self.state == "RESOLVING":
            self.state, self.outcome = "FINALIZED", self.plan.resolve.outcome
        elif self.state == "DISPUTED":
            agree = sum(v.agree for v in self.acts if isinstance(v, DisputeVote))
            flips = agree * 10000 // len(self.dispute_voters) >= 6000
            self.state, self.outcome = "FINALIZED", self.plan.resolve.outcome is not flips


def run(number: int, interruptions: random.Random | None = None) -> Model:
    """Run a market to its end; with interruptions, acts become visible with a delay."""
    script = plan(number)
    model = Model(script)
    seen = model.view()
    pending: set[Act] = set()
    for _ in range(1000):
        if is_over(script, model.view()):
            return model
        act = next_act(script, seen, frozenset(pending))
        if act is not None and seen.state == model.state:
            model.apply(act)
            pending.add(act)
        if act is None and seen == model.view():
            model.backend()
        restart = interruptions is not None and interruptions.random() < 0.1
        if act is None or interruptions is None or interruptions.random() < 0.3 or restart:
            seen, pending = model.view(), set()
    raise AssertionError("the market never ended")


@given(NUMBERS)
def test_every_market_ends_paid_out_and_closed_with_the_true_outcome(number: int) -> None:
    model = run(number)
    assert model.outcome is model.plan.truth
    assert model.withdrawn
    winners = [h for h in model.holdings.values() if (h.yes if model.outcome else h.no)]
    assert winners
    assert all(holding.claimed for holding in winners)


@given(NUMBERS, st.integers(0, 2**32))
def test_delayed_visibility_and_restarts_repeat_nothing(number: int, seed: int) -> None:
    smooth, interrupted = run(number), run(number, random.Random(seed))
    assert len(interrupted.acts) == len(smooth.acts)
    assert (interrupted.outcome, interrupted.withdrawn) == (smooth.outcome, smooth.withdrawn)
    assert sorted(map(repr, interrupted.acts)) == sorted(map(repr, smooth.acts))


@given(NUMBERS)
def test_plans_respect_the_rules_of_program_and_pipelines(number: int) -> None:
    script = plan(number)
    assert script == plan(number)
    assert {vote.person for vote in script.votes} == set(CAST)
    assert len(CAST) >= 12
    assert sum(vote.on_chain for vote in script.votes) == 2
    trades = [act for act in script.trading if isinstance(act, Trade)]
    assert {trade.outcome for trade in trades} == {True, False}
    assert all(200_000_000 <= trade.lamports <= 2_000_000_000 for trade in trades)


def test_first_market_is_undisputed_and_second_disputed_both_fast() -> None:
    first, second = plan(0), plan(1)
    assert (first.dispute, second.dispute is not None) == (None, True)
    assert max(first.pause, second.pause) < 1
    assert plan(2).pause > 1
    assert plan(2, fast=3).pause < 1
