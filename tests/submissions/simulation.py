"""Submitters, a chain of lagging nodes, and crashes, all from one seed, over the real machine.

Replay one seed with its schedule printed::

    python -m tests.submissions.simulation --seed 4711 [--order ours]

The chain forgets, forks and lands late; nodes lag and drop answers; two submitters crash,
stall past their lease and come back in the middle of a step. After the storm everything
heals, and then the one intent must be final with exactly one landed transaction.

``ORDERS`` holds our order and wrong ones. The wrong ones are controls: a simulation that
does not catch them proves nothing.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import msgspec

from tests.submissions.simulated_chain import FINALITY, Chain, Transaction
from zmart_pipelines.submissions import machine as m
from zmart_pipelines.submissions.lease import LeaseLost
from zmart_pipelines.submissions.machine import Phase, Verdict, Work

MOST_LAG = 16
STORM_TICKS = 60
CALM_TICKS = 140
LEASE_TICKS = 8.0

Step = Callable[[Work, m.Event], m.Step]


class Intent(msgspec.Struct):
    """The row of the intent."""

    status: str = "planned"
    failures: int = 0
    due: float = 0.0
    epoch: int = 0


class Attempt(msgspec.Struct):
    """A row of an attempt."""

    tx: Transaction
    status: str
    epoch: int
    sends: int = 0
    slot: int | None = None


@dataclass
class Tables:
    """What is committed; survives every crash. Each method is one transaction."""

    intent: Intent = field(default_factory=Intent)
    attempts: list[Attempt] = field(default_factory=list)
    holder: str = ""
    epoch: int = 0
    expires: float = 0.0

    def acquire(self, name: str, now: float) -> int | None:
        if self.expires > now:
            return None
        self.holder, self.epoch, self.expires = name, self.epoch + 1, now + LEASE_TICKS
        return self.epoch

    def renew(self, epoch: int, now: float) -> None:
        self.fence(epoch, now)
        self.expires = now + LEASE_TICKS

    def fence(self, epoch: int, now: float) -> None:
        if self.epoch != epoch or self.expires <= now:
            raise LeaseLost(str(epoch))

    def live(self) -> Attempt | None:
        return next((a for a in self.attempts if a.status in ("signed", "sent", "landed")), None)

    def take_up(self, epoch: int, now: float) -> Attempt | None:
        self.fence(epoch, now)
        self.intent.epoch = epoch
        found = self.live()
        if found is not None:
            found.epoch = epoch
        return found

    def sign(self, epoch: int, now: float, tx: Transaction) -> bool:
        self.fence(epoch, now)
        if self.intent.epoch != epoch:
            raise LeaseLost(str(epoch))
        if self.live() is not None:
            return False
        self.attempts.append(Attempt(tx, "signed", epoch))
        self.intent.status = "live"
        return True

    def write(self, epoch: int, now: float, attempt: Attempt | None, effect: m.Effect) -> None:
        self.fence(epoch, now)
        if self.intent.epoch != epoch or (attempt is not None and attempt.epoch != epoch):
            raise LeaseLost(str(epoch))
        intent = self.intent
        match effect:
            case m.MarkSent() if attempt is not None:
                attempt.status, attempt.sends = "sent", attempt.sends + 1
            case m.MarkLanded(slot=slot) if attempt is not None:
                attempt.status, attempt.slot = "landed", slot
            case m.MarkLost() if attempt is not None:
                attempt.status, attempt.slot = "sent", None
            case m.Bury(delay=delay, failures=failures) if attempt is not None:
                attempt.status = "dead"
                intent.status, intent.failures, intent.due = "planned", failures, now + delay
            case m.Postpone(delay=delay, failures=failures):
                intent.status, intent.failures, intent.due = "planned", failures, now + delay
            case m.Settle(status=status, attempt=verdict):
                intent.status = status
                if attempt is not None and verdict is not None:
                    attempt.status = verdict


@dataclass
class World:
    """One run of the simulation."""

    seed: int
    step: Step
    send_first: bool = False
    two_answers: bool = False
    told: list[str] | None = None
    tables: Tables = field(default_factory=Tables)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.chain = Chain(self.dice)
        self.now = 0
        self.lags = [0, 0, 0]
        self.names = 0

    def tell(self, words: str) -> None:
        if self.told is not None:
            self.told.append(f"{self.now:4} h{len(self.chain.blocks) - 1} {words}")

    # --- what nodes answer ---

    def node(self) -> int:
        """The tip that the node which happens to answer has seen."""
        tip = len(self.chain.blocks) - 1
        if self.chain.calm:
            return tip
        return max(tip - self.dice.choice(self.lags), 0)

    def lost(self) -> bool:
        return not self.chain.calm and self.dice.random() < 0.08

    def finalized(self, tip: int) -> int:
        return max(min(self.chain.final, tip - FINALITY), 0)

    def ask(self, effect: m.Effect, attempt: Attempt | None) -> m.Event:
        if self.lost():
            return m.Unreachable("lost")
        chain, tip = self.chain, self.node()
        height = self.finalized(tip)
        match effect:
            case m.ReadAccount():
                done = any(landed <= height for landed in chain.landed.values())
                verdict = Verdict.DONE if done else Verdict.READY
                return m.AccountSeen(slot=chain.slots[height], verdict=verdict)
            case m.ReadHeight():
                other = self.finalized(self.node()) if self.two_answers else height
                return m.HeightSeen(slot=chain.slots[other], height=height)
            case m.ReadStatus() if attempt is not None:
                landed = chain.landed.get(attempt.tx.name)
                if landed is None or landed > tip:
                    return m.StatusSeen(slot=chain.slots[tip])
                return m.StatusSeen(
                    slot=chain.slots[tip],
                    landed_slot=chain.slots[landed],
                    finalized=landed <= height,
                )
            case _:
                return m.Simulated(units=10_000)

    def new_transaction(self) -> Transaction:
        """Bytes signed with the hash of a block that some node calls confirmed."""
        height = max(self.node() - 1, 0)
        self.names += 1
        tx = Transaction(self.names, self.chain.blocks[height], height)
        self.chain.known[tx.name] = tx
        return tx

    # --- the submitter, suspended before every step it takes ---

    def submitter(self, name: str) -> Generator[bool, None, None]:
        """One run of drive. Yields True where it waits for the next tick."""
        tables = self.tables
        epoch = tables.acquire(name, self.now)
        if epoch is None:
            return
        self.tell(f"{name} holds epoch {epoch}")
        while tables.intent.status in ("planned", "live"):
            yield True
            tables.renew(epoch, self.now)
            attempt = tables.take_up(epoch, self.now)
            if attempt is None and tables.intent.due > self.now:
                continue
            if attempt is None:
                work = m.resume(failures=tables.intent.failures)
            else:
                work = m.resume(
                    failures=tables.intent.failures,
                    last_valid=attempt.tx.last_valid,
                    sends=attempt.sends,
                    landed_slot=attempt.slot,
                )
            while work.phase is not Phase.ENDED:
                events: list[m.Event] = [m.Tick(self.now)]
                while events:
                    effects: list[m.Effect] = []
                    for event in events:
                        work, wanted = self.step(work, event)
                        effects += wanted
                    events = []
                    for effect in effects:
                        yield False
                        if isinstance(effect, m.Sign):
                            tx = self.new_transaction()
                            if self.send_first:
                                self.chain.submit(tx, self.now)
                                yield False
                            if tables.sign(epoch, self.now, tx):
                                attempt = tables.attempts[-1]
                                events.append(m.Persisted(tx.last_valid, self.now))
                                self.tell(f"{name} signed {tx.name}, valid to {tx.last_valid}")
                            else:
                                events.append(m.Withheld("live"))
                        elif isinstance(effect, m.Send):
                            if attempt is not None:
                                self.chain.submit(attempt.tx, self.now)
                                self.tell(f"{name} sent {attempt.tx.name}")
                            events.append(m.Sent("lost" if self.lost() else None))
                        elif isinstance(
                            effect, m.ReadAccount | m.ReadStatus | m.ReadHeight | m.Simulate
                        ):
                            events.append(self.ask(effect, attempt))
                        else:
                            self.tell(f"{name} {effect}")
                            tables.write(epoch, self.now, attempt, effect)
                if work.phase is not Phase.ENDED:
                    yield True
                    tables.renew(epoch, self.now)

    # --- the storm and the calm after it ---

    def run(self) -> str | None:
        """What is wrong in the end; None when one transaction landed and all is settled."""
        running: dict[str, Generator[bool, None, None]] = {}
        stalled: dict[str, int] = {}
        for tick in range(STORM_TICKS + CALM_TICKS):
            self.now = tick
            calm = self.chain.calm = tick >= STORM_TICKS
            if not calm and self.dice.random() < 0.2:
                self.lags = [self.dice.randrange(MOST_LAG + 1) for _ in self.lags]
            self.chain.tick(tick)
            for name in ("A", "B"):
                if stalled.get(name, 0) > tick and not calm:
                    continue
                self._resume(name, running, stalled, calm)
            if calm and self.settled():
                break
        return self.verdict()

    def _resume(
        self,
        name: str,
        running: dict[str, Generator[bool, None, None]],
        stalled: dict[str, int],
        calm: bool,
    ) -> None:
        current = running.get(name)
        if current is None:
            if not calm and self.dice.random() < 0.5:
                return
            current = running[name] = self.submitter(name)
        try:
            while not next(current):
                if calm:
                    continue
                fate = self.dice.random()
                if fate < 0.02:
                    self.tell(f"{name} crashed")
                    del running[name]
                    return
                if fate < 0.04:
                    stalled[name] = self.now + self.dice.randrange(1, 25)
                    self.tell(f"{name} stalls until {stalled[name]}")
                    return
        except StopIteration:
            del running[name]
        except LeaseLost:
            self.tell(f"{name} lost its lease")
            del running[name]

    def settled(self) -> bool:
        return self.tables.intent.status not in ("planned", "live") and not self.chain.pool

    def verdict(self) -> str | None:
        landed = sorted(self.chain.landed)
        if len(landed) > 1:
            return f"landed {len(landed)} times: {landed}"
        if self.tables.intent.status != "final" or len(landed) != 1:
            return f"intent {self.tables.intent.status}, landed {landed}"
        if self.tables.live() is not None:
            return "a live attempt is left behind"
        return None


# --- wrong orders, each of which has been somebody's production code ---


def by_the_clock(work: Work, event: m.Event) -> m.Step:
    """Signs anew after a while, whatever the old blockhash."""
    if work.phase is Phase.SENDING and isinstance(event, m.Tick) and work.sends >= 4:
        return msgspec.structs.replace(work, phase=Phase.ENDED), (m.Bury("timeout", 0.0, 0),)
    return m.step(work, event)


def any_node(work: Work, event: m.Event) -> m.Step:
    """Waits for expiry, then believes whichever node says that it does not know."""
    if work.phase is Phase.SENDING and work.expired_at is not None:
        match event:
            case m.Tick():
                return work, (m.ReadStatus(history=True),)
            case m.StatusSeen(landed_slot=None):
                ended = msgspec.structs.replace(work, phase=Phase.ENDED)
                return ended, (m.Bury("not found", 0.0, 0),)
    return m.step(work, event)


class Order(msgspec.Struct, frozen=True):
    """How a submitter goes about it. ``two_answers``: takes height and slot from two answers,
    which may be two nodes'.
    """

    step: Step = m.step
    send_first: bool = False
    two_answers: bool = False


ORDERS: dict[str, Order] = {
    "ours": Order(),
    "send, then record": Order(send_first=True),
    "by the clock": Order(by_the_clock),
    "any node": Order(any_node),
    "two answers": Order(two_answers=True),
}


def simulate(
    seed: int,
    order: str = "ours",
    told: list[str] | None = None,
    tables: Tables | None = None,
) -> str | None:
    """One seed; what went wrong, None for nothing."""
    how = ORDERS[order]
    world = World(seed, how.step, how.send_first, how.two_answers, told, tables or Tables())
    return world.run()


def main() -> None:
    """Replay one seed and print its schedule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--order", choices=list(ORDERS), default="ours")
    arguments = parser.parse_args()
    told: list[str] = []
    fault = simulate(arguments.seed, arguments.order, told)
    print("\n".join(told))  # noqa: T201
    print(fault or "one landed, all settled")  # noqa: T201


if __name__ == "__main__":
    main()
