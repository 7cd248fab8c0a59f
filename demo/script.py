"""The decisions of the cast in a market, based on public data. Pure.

A :class:`Plan` lists who does what in one market; a :class:`MarketView` is the market's public
state from API and chain; :func:`next_act` compares the two. No state is kept between calls, so
that an interrupted cast resumes at the market's current state.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

CAST = (
    *("Ana", "Ben", "Chloe", "Dario", "Elif", "Femi", "Greta"),
    *("Hiro", "Ines", "Jonas", "Kofi", "Lena", "Mateo", "Noor"),
)
SOL = 1_000_000_000
B_PARAMETER = 100 * SOL  # the smallest b with which the program trades
# Payouts are shares of this number and the fees, not of the pool; a large one cannot be paid.
VIRTUAL_LIQUIDITY = SOL // 10
ON_CHAIN_VOTERS = 2
FAST_MARKETS = 2


@dataclass(frozen=True)
class Vote:
    """A ballot on the proposal, signed for the API or cast on chain."""

    person: str
    choice: bool
    on_chain: bool = False


@dataclass(frozen=True)
class Activate:
    """The creator opens the approved market."""

    person: str


@dataclass(frozen=True)
class Trade:
    """Buy shares of one side for at most ``lamports``. ``number`` distinguishes equal trades."""

    number: int
    person: str
    outcome: bool
    lamports: int


@dataclass(frozen=True)
class Comment:
    """Comment on the market. ``words`` selects the text."""

    number: int
    person: str
    words: int


@dataclass(frozen=True)
class Resolve:
    """Propose the outcome."""

    person: str
    outcome: bool


@dataclass(frozen=True)
class Dispute:
    """Contest the proposed outcome."""

    person: str


@dataclass(frozen=True)
class DisputeVote:
    """A position holder's ballot: whether the dispute should succeed."""

    person: str
    agree: bool


@dataclass(frozen=True)
class Claim:
    """Collect the winnings."""

    person: str


@dataclass(frozen=True)
class Withdraw:
    """The creator withdraws the remainder after all claims; earlier it belongs to winners."""

    person: str


Act = Vote | Activate | Trade | Comment | Resolve | Dispute | DisputeVote | Claim | Withdraw


@dataclass(frozen=True)
class Plan:
    """The acts of one market. ``pause`` is the time between two acts in seconds."""

    creator: str
    votes: tuple[Vote, ...]
    trading: tuple[Trade | Comment, ...]
    resolve: Resolve
    dispute: Dispute | None
    truth: bool
    pause: float
    topic: int


@dataclass(frozen=True)
class Holding:
    """One person's position: shares of each side, number of trades, whether it was paid out."""

    yes: int
    no: int
    trades: int
    claimed: bool


@dataclass(frozen=True)
class MarketView:
    """A market's public state. ``comments`` is the number of comments by the cast."""

    state: str
    proposal_voters: frozenset[str] = frozenset()
    dispute_voters: frozenset[str] = frozenset()
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    comments: int = 0
    final_outcome: bool | None = None
    withdrawn: bool = False


def plan(number: int, seed: int = 3, fast: int = FAST_MARKETS) -> Plan:
    """Return the plan of the cast's market ``number`` (from 0).

    The first ``fast`` markets are fast, later ones slow. The second market and every third after
    it are disputed.
    """
    dice = random.Random(f"{seed}:{number}")
    people = list(CAST)
    dice.shuffle(people)
    creator, resolver, disputer = people[:3]
    is_fast = number < fast
    disputed = number % 3 == 1
    truth = dice.random() < 0.5
    voters = people[:]
    dice.shuffle(voters)
    skeptics = {voters[1], voters[6]}  # 12 of 14 likes: well above the threshold
    votes = tuple(
        Vote(person, person not in skeptics, on_chain=index < ON_CHAIN_VOTERS)
        for index, person in enumerate(voters)
    )
    trades = [
        Trade(index, dice.choice(people[2:]), outcome, dice.randrange(2, 21) * SOL // 10)
        for index, outcome in enumerate(_sides(dice, 8 if is_fast else dice.randrange(10, 25)))
    ]
    trading: list[Trade | Comment] = [*trades]
    for index in range(3 if is_fast else dice.randrange(2, 7)):
        place = dice.randrange(1, len(trading) + 1)
        trading.insert(place, Comment(index, dice.choice(people), dice.randrange(1000)))
    return Plan(
        creator=creator,
        votes=votes,
        trading=tuple(trading),
        resolve=Resolve(resolver, truth is not disputed),
        dispute=Dispute(disputer) if disputed else None,
        truth=truth,
        pause=0.5 if is_fast else 15.0,
        topic=number,
    )


def _sides(dice: random.Random, count: int) -> list[bool]:
    """Return a side for each trade; both sides occur."""
    return [True, False, *(dice.random() < 0.5 for _ in range(count - 2))]


def next_act(plan: Plan, view: MarketView, pending: frozenset[Act] = frozenset()) -> Act | None:
    """Return the next act, None while the cast has to wait or when all is done.

    ``pending`` are acts whose effect may not be visible yet.
    """
    for act in _due(plan, view):
        if act not in pending:
            return act
    return None


def is_over(plan: Plan, view: MarketView) -> bool:
    """Return whether the market is finalized, paid out and closed."""
    return view.state == "FINALIZED" and not _due(plan, view)


def _due(plan: Plan, view: MarketView) -> list[Act]:
    match view.state:
        case "PROPOSED":
            return [vote for vote in plan.votes if vote.person not in view.proposal_voters]
        case "APPROVED":
            return [Activate(plan.creator)]
        case "ACTIVE":
            return _due_trading(plan, view) or [plan.resolve]
        case "RESOLVING":
            return [plan.dispute] if plan.dispute is not None else []
        case "DISPUTED":
            return _dispute_votes(plan, view)
        case "FINALIZED":
            claims: list[Act] = [Claim(person) for person in _winners(view)]
            return claims or ([] if view.withdrawn else [Withdraw(plan.creator)])
        case _:
            return []


def _due_trading(plan: Plan, view: MarketView) -> list[Act]:
    """Return the trades and comments that are still due."""
    trades = {person: holding.trades for person, holding in view.holdings.items()}
    comments = view.comments
    due: list[Act] = []
    for act in plan.trading:
        if isinstance(act, Comment):
            comments -= 1
            if comments < 0:
                due.append(act)
        elif trades.get(act.person, 0) > 0:
            trades[act.person] -= 1
        else:
            due.append(act)
    return due


def _dispute_votes(plan: Plan, view: MarketView) -> list[Act]:
    """Return the ballots of holders who have not voted; all but the last vote truthfully."""
    holders = sorted(person for person, held in view.holdings.items() if held.yes or held.no)
    wrong = plan.resolve.outcome is not plan.truth
    stubborn = holders[-1] if len(holders) > 3 else None
    return [
        DisputeVote(person, wrong if person != stubborn else not wrong)
        for person in holders
        if person not in view.dispute_voters
    ]


def _winners(view: MarketView) -> list[str]:
    return sorted(
        person
        for person, held in view.holdings.items()
        if not held.claimed and (held.yes if view.final_outcome else held.no) > 0
    )
