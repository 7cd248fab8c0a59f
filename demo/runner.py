"""The loop of the demo: read each market, perform the next act, print what happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from demo.api import ApiRefused
from demo.chain import TransactionRefused
from demo.environment import Environment
from demo.progress import MarketEntry, Progress
from demo.questions import TOPICS
from demo.script import (
    FAST_MARKETS,
    SOL,
    Act,
    Activate,
    Claim,
    Comment,
    Dispute,
    DisputeVote,
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
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable

TICK = 0.2
VISIBLE_WITHIN = 20.0  # seconds until an act must be visible; then it is repeated
REFRESH, FAST_REFRESH = 15.0, 2.0  # seconds between full reads; fast while acts are not visible
CHAIN_SECOND = 1.2  # the program requires a later second for resolving and for disputing
EXPECTED_ERRORS = (
    ApiRefused,
    TransactionRefused,
    RpcError,
    RpcUnavailable,
    RateLimited,
    httpx.HTTPError,
)


@dataclass(frozen=True)
class Pace:
    """How many markets the cast plays at once, and how fast.

    Attributes:
        fast_markets: How many of the first markets are played without long pauses.
        first_alone: Whether the first two markets end before a third is opened.
        live_at_once: Most markets that are open at a time.
        next_market_after: Seconds between two new markets, after the first two.
    """

    fast_markets: int
    first_alone: bool
    live_at_once: int
    next_market_after: float


GENTLE = Pace(FAST_MARKETS, first_alone=True, live_at_once=3, next_market_after=240.0)
# For benchmarks: every market is fast, so that something is due all the time.
BUSY = Pace(10**9, first_alone=False, live_at_once=6, next_market_after=3.0)


@dataclass
class LiveMarket:
    """A market in which the cast acts. Times are those of ``time.monotonic``."""

    entry: MarketEntry
    plan: Plan
    view: MarketView | None = None
    seen_at: float = 0.0
    not_before: float = 0.0
    next_poll: float = 0.0
    performed: dict[Act, float] = field(default_factory=dict)
    waits_for_visibility: bool = False

    @property
    def market_id(self) -> bytes:
        """The market's id."""
        return bytes.fromhex(self.entry.market_id)

    @property
    def is_fast(self) -> bool:
        """Whether the acts in this market follow each other quickly."""
        return self.plan.pause < 1


class Runner:
    """Runs the demo."""

    def __init__(
        self,
        environment: Environment,
        progress: Progress,
        print_line: Callable[[str], None],
        pace: Pace = GENTLE,
    ) -> None:
        self._environment = environment
        self._progress = progress
        self._print = print_line
        self._pace = pace
        self._started = time.monotonic()
        self._next_market_at = 0.0
        self._live_markets = [
            LiveMarket(entry, self._plan(entry.number))
            for entry in progress.entries
            if not entry.is_closed
        ]

    def run(self) -> None:
        """Run until interrupted."""
        while not self._ready():
            time.sleep(3)
        while True:
            for live in list(self._live_markets):
                if time.monotonic() >= live.not_before:
                    self._attempt(live)
            if self._time_for_another():
                self._open()
            time.sleep(TICK)

    def _ready(self) -> bool:
        try:
            self._environment.prepare()
        except EXPECTED_ERRORS as error:
            self._print(f"the wallets could not be funded yet: {error}")
            return False
        return True

    def _time_for_another(self) -> bool:
        entries = self._progress.entries
        if time.monotonic() < self._next_market_at:
            return False
        if len(entries) < 2:
            return True
        alone = self._pace.first_alone and not all(entry.is_closed for entry in entries[:2])
        return not alone and len(self._live_markets) < self._pace.live_at_once

    def _plan(self, number: int) -> Plan:
        return plan(number, fast=self._pace.fast_markets)

    def _open(self) -> None:
        number = len(self._progress.entries)
        script = self._plan(number)
        topic = TOPICS[number % len(TOPICS)]
        try:
            market_id, question = self._environment.propose(script.creator, topic)
        except EXPECTED_ERRORS as error:
            self._print(f"market {number + 1} could not be proposed: {error}")
            self._next_market_at = time.monotonic() + 5
            return
        entry = self._progress.add(market_id)
        live = LiveMarket(entry, script)
        self._live_markets.append(live)
        self._next_market_at = time.monotonic() + (
            0 if number == 0 else self._pace.next_market_after
        )
        self._report(live, f"{script.creator} proposes: {question}")

    def _attempt(self, live: LiveMarket) -> None:
        try:
            self._step(live)
        except EXPECTED_ERRORS as error:
            self._report(live, f"error: {error}")
            live.view = None
            live.next_poll = 0.0
            live.not_before = time.monotonic() + 3

    def _step(self, live: LiveMarket) -> None:
        now = time.monotonic()
        if now >= live.next_poll:
            live.next_poll = now + (1.0 if live.is_fast else 3.0)
            self._poll(live, now)
        view = live.view
        if view is None or now < live.not_before:
            return
        if is_over(live.plan, view):
            self._progress.close(live.entry)
            self._live_markets.remove(live)
            self._report(live, "paid out and closed")
            return
        act = next_act(live.plan, view, frozenset(live.performed))
        live.waits_for_visibility = act is None and bool(live.performed)
        if act is None:
            return
        self._environment.perform(act, live.market_id)
        live.performed[act] = time.monotonic()
        self._report(live, describe(act))
        if isinstance(act, Vote | Trade | Comment):
            live.not_before = time.monotonic() + live.plan.pause

    def _poll(self, live: LiveMarket, now: float) -> None:
        """Read the market's state, and the whole market when it changed or from time to time."""
        state = self._environment.state(live.market_id)
        known = live.view
        if state is None:
            live.view = None
            return
        has_changed = known is None or known.state != state
        interval = FAST_REFRESH if live.waits_for_visibility else REFRESH
        if not has_changed and now - live.seen_at < interval:
            return
        live.view = self._environment.view(live.market_id, state)
        live.seen_at = now
        live.performed = {
            act: when for act, when in live.performed.items() if now - when < VISIBLE_WITHIN
        }
        if has_changed:
            self._report(live, f"── {self._headline(live)} ──")
            live.not_before = now + CHAIN_SECOND

    def _headline(self, live: LiveMarket) -> str:
        view = live.view
        if view is None or view.final_outcome is None:
            return view.state if view is not None else "unknown"
        account = self._environment.account(live.market_id)
        disputed = " after a dispute" if account.was_disputed else ""
        return f"{view.state}: {_side(view.final_outcome)}{disputed}"

    def _report(self, live: LiveMarket, what: str) -> None:
        seconds = time.monotonic() - self._started
        self._print(f"{seconds:6.1f} s  market {live.entry.number + 1}  {what}")


def describe(act: Act) -> str:
    """Return one line about an act that was performed."""
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
