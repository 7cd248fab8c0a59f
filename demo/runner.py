"""The loop of the demo: look at each market, do the next act, say what happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from demo.api import ApiRefused
from demo.chain import Refused
from demo.environment import World
from demo.progress import Entry, Notebook
from demo.questions import TOPICS
from demo.script import (
    SOL,
    Act,
    Activate,
    Claim,
    Comment,
    Dispute,
    DisputeVote,
    Plan,
    Resolve,
    Trade,
    View,
    Vote,
    Withdraw,
    is_over,
    next_act,
    plan,
)
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable

TICK = 0.2
VISIBLE_WITHIN = 20.0  # seconds until an act must show; then it is done again
LOOK_AGAIN, LOOK_SOON = 15.0, 2.0  # seconds between two looks; soon while acts are not visible
CHAIN_SECOND = 1.2  # the program wants resolving and disputing in a later second than before
LIVE_AT_ONCE = 3
NEXT_MARKET_AFTER = 240.0
TROUBLES = (ApiRefused, Refused, RpcError, RpcUnavailable, RateLimited, httpx.HTTPError)


@dataclass
class Production:
    """A market the cast plays in. Times are those of ``time.monotonic``."""

    entry: Entry
    plan: Plan
    view: View | None = None
    seen_at: float = 0.0
    not_before: float = 0.0
    next_look: float = 0.0
    done: dict[Act, float] = field(default_factory=dict)
    waits_for_sight: bool = False

    @property
    def market_id(self) -> bytes:
        """The market's id."""
        return bytes.fromhex(self.entry.market_id)

    @property
    def brisk(self) -> bool:
        """Whether this market is hurried through."""
        return self.plan.pause < 1


class Show:
    """The cast at work."""

    def __init__(self, world: World, notebook: Notebook, say: Callable[[str], None]) -> None:
        self._world = world
        self._notebook = notebook
        self._say = say
        self._started = time.monotonic()
        self._next_market_at = 0.0
        self._productions = [
            Production(entry, plan(entry.number)) for entry in notebook.entries if not entry.over
        ]

    def run(self) -> None:
        """Play for ever."""
        while not self._ready():
            time.sleep(3)
        while True:
            for production in list(self._productions):
                if time.monotonic() >= production.not_before:
                    self._attempt(production)
            if self._time_for_another():
                self._open()
            time.sleep(TICK)

    def _ready(self) -> bool:
        try:
            self._world.prepare()
        except TROUBLES as error:
            self._say(f"the cast has no money yet: {error}")
            return False
        return True

    def _time_for_another(self) -> bool:
        entries = self._notebook.entries
        if time.monotonic() < self._next_market_at:
            return False
        if len(entries) < 2:
            return True
        return all(e.over for e in entries[:2]) and len(self._productions) < LIVE_AT_ONCE

    def _open(self) -> None:
        number = len(self._notebook.entries)
        script = plan(number)
        topic = TOPICS[number % len(TOPICS)]
        try:
            market_id, question = self._world.propose(script.creator, topic)
        except TROUBLES as error:
            self._say(f"market {number + 1} could not be proposed: {error}")
            self._next_market_at = time.monotonic() + 5
            return
        entry = self._notebook.add(market_id)
        production = Production(entry, script)
        self._productions.append(production)
        self._next_market_at = time.monotonic() + (0 if number == 0 else NEXT_MARKET_AFTER)
        self._tell(production, f"{script.creator} proposes: {question}")

    def _attempt(self, production: Production) -> None:
        try:
            self._step(production)
        except TROUBLES as error:
            self._tell(production, f"trouble: {error}")
            production.view = None
            production.next_look = 0.0
            production.not_before = time.monotonic() + 3

    def _step(self, production: Production) -> None:
        now = time.monotonic()
        if now >= production.next_look:
            production.next_look = now + (1.0 if production.brisk else 3.0)
            self._look(production, now)
        view = production.view
        if view is None or now < production.not_before:
            return
        if is_over(production.plan, view):
            self._notebook.close(production.entry)
            self._productions.remove(production)
            self._tell(production, "is over: paid out and closed")
            return
        act = next_act(production.plan, view, frozenset(production.done))
        production.waits_for_sight = act is None and bool(production.done)
        if act is None:
            return
        self._world.perform(act, production.market_id)
        production.done[act] = time.monotonic()
        self._tell(production, in_words(act))
        if isinstance(act, Vote | Trade | Comment):
            production.not_before = time.monotonic() + production.plan.pause

    def _look(self, production: Production, now: float) -> None:
        """See whether the market moved on; look at all of it when it did, or now and then."""
        state = self._world.state(production.market_id)
        known = production.view
        if state is None:
            production.view = None
            return
        moved = known is None or known.state != state
        patience = LOOK_SOON if production.waits_for_sight else LOOK_AGAIN
        if not moved and now - production.seen_at < patience:
            return
        production.view = self._world.look(production.market_id, state)
        production.seen_at = now
        production.done = {
            act: when for act, when in production.done.items() if now - when < VISIBLE_WITHIN
        }
        if moved:
            self._tell(production, f"── {self._headline(production)} ──")
            production.not_before = now + CHAIN_SECOND

    def _headline(self, production: Production) -> str:
        view = production.view
        if view is None or view.final_outcome is None:
            return view.state if view is not None else "not known yet"
        account = self._world.account(production.market_id)
        disputed = " after a dispute" if account.was_disputed else ""
        return f"{view.state}: {_side(view.final_outcome)}{disputed}"

    def _tell(self, production: Production, what: str) -> None:
        seconds = time.monotonic() - self._started
        self._say(f"{seconds:6.1f} s  market {production.entry.number + 1}  {what}")


def in_words(act: Act) -> str:
    """One line about an act that was done."""
    match act:
        case Vote():
            where = " on chain" if act.on_chain else ""
            return f"{act.person} {'likes' if act.choice else 'dislikes'} it{where}"
        case Activate():
            return f"{act.person} opens it for trading"
        case Trade():
            return f"{act.person} buys {_side(act.outcome)} for {act.lamports / SOL:.1f} SOL"
        case Comment():
            return f"{act.person} comments"
        case Resolve():
            return f"{act.person} resolves it: {_side(act.outcome)}"
        case Dispute():
            return f"{act.person} disputes the outcome"
        case DisputeVote():
            return f"{act.person} {'agrees' if act.agree else 'disagrees'} with the dispute"
        case Claim():
            return f"{act.person} claims the winnings"
        case Withdraw():
            return f"{act.person} withdraws the liquidity"


def _side(outcome: bool) -> str:
    return "YES" if outcome else "NO"
