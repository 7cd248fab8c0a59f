"""The relay on a chain that forks, forgets and lands late, with lagging nodes and crashes; by seed.

Replay one seed with its schedule printed::

    python -m tests.relay.simulation SEED [ORDER]

The real machine drives one transaction over two nodes. Its holder crashes and is followed by
another one, which resumes from the row; now and then an older holder comes back, and its writes
are fenced by the epoch. In the end everything heals: then the row must say what is true of the
chain, and an end must have been true from the moment at which it was recorded.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.submissions.simulated_chain import FINALITY, Chain, Transaction
from zmart_pipelines.relay import machine
from zmart_pipelines.relay.driver import resume
from zmart_pipelines.relay.rows import HeldTransaction

NODES = 2
MOST_LAG = 16
STORM_TICKS = 60
CALM_TICKS = 80

Step = Callable[[machine.RelayState, machine.Event], machine.Transition]


@dataclass
class Order:
    """How the relay goes about it: the right way, or wrong in one respect."""

    step: Step = machine.step
    confirmed_height: bool = False


def _any_slot(state: machine.RelayState, event: machine.Event) -> machine.Transition:
    """Wrong: a node's word counts wherever the node is."""
    if isinstance(event, machine.Unknown):
        event = machine.Unknown((1 << 40,) * len(event.slots), event.history)
    return machine.step(state, event)


def _at_confirmed(state: machine.RelayState, event: machine.Event) -> machine.Transition:
    """Wrong: a confirmed block is taken for the end."""
    if isinstance(event, machine.Landed):
        event = machine.Landed(event.slot, finalized=True, error=event.error)
    return machine.step(state, event)


ORDERS: Mapping[str, Order] = {
    "ours": Order(),
    "any slot": Order(step=_any_slot),
    "confirmed is the end": Order(step=_at_confirmed),
    "height at confirmed": Order(confirmed_height=True),
}


@dataclass
class Row:
    """What the database keeps."""

    state: str = "stored"
    landed_slot: int | None = None
    epoch: int = 0


@dataclass
class World:
    """One run of the simulation."""

    seed: int
    order: Order
    schedule: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.chain = Chain(self.dice)
        self.row = Row()
        self.now = 0
        self.lags = [0, 0, 0]
        # How likely what is sent reaches a leader, so that some land at the last moment, or never.
        self.reach = self.dice.choice((1.0, 0.3, 0.1))
        self.wrong: str | None = None
        for tick in range(-self.dice.randrange(1, 20), 0):
            self.chain.tick(tick)
        height = max(len(self.chain.blocks) - 2, 0)
        self.tx = Transaction(1, self.chain.blocks[height], height)
        self.chain.known[1] = self.tx

    def log(self, text: str) -> None:
        self.schedule.append(f"{self.now:4} h{len(self.chain.blocks) - 1} {text}")

    # --- what nodes answer ---

    def tip(self) -> int:
        """Return how far the node has come that answers: behind an address there are several."""
        tip = len(self.chain.blocks) - 1
        return tip if self.chain.calm else max(tip - self.dice.choice(self.lags), 0)

    def finalized(self, tip: int) -> int:
        return max(min(self.chain.final, tip - FINALITY), 0)

    def lost(self) -> bool:
        return not self.chain.calm and self.dice.random() < 0.1

    def statuses(self, *, history: bool) -> machine.Landed | machine.Unknown | None:
        answers = []
        for _ in range(NODES):
            if self.lost():
                continue
            tip, landed = self.tip(), self.chain.landed.get(self.tx.name)
            seen = None
            if landed is not None and landed <= tip:
                final = landed <= self.finalized(tip)
                seen = machine.Landed(self.chain.slots[landed], final)
            answers.append(machine.NodeAnswer(self.chain.slots[tip], seen))
            if seen is not None:
                break
        return machine.observation(answers, history=history) if answers else None

    def heights(self) -> list[machine.HeightSeen]:
        found = []
        for _ in range(NODES):
            if not self.lost():
                height = self.tip()
                if not self.order.confirmed_height:
                    height = self.finalized(height)
                found.append(machine.HeightSeen(self.chain.slots[height], height))
        return found

    # --- a holder ---

    def claim(self) -> tuple[int, machine.RelayState]:
        self.row.epoch += 1
        held = HeldTransaction(
            signature=b"",
            transaction=b"",
            last_valid_block_height=self.tx.last_valid,
            state=self.row.state,
            refusal=None,
            landed_slot=self.row.landed_slot,
            epoch=self.row.epoch,
            age=0.0,
        )
        self.log(f"epoch {self.row.epoch} resumes {self.row.state}")
        return self.row.epoch, resume(held, NODES)

    def round(self, epoch: int, state: machine.RelayState) -> machine.RelayState:
        events: list[machine.Event] = [machine.Tick(float(self.now))]
        while events:
            effects: list[machine.Effect] = []
            for event in events:
                state, wanted = self.order.step(state, event)
                effects += wanted
            events = []
            for effect in effects:
                events += self.perform(epoch, effect)
        return state

    def perform(self, epoch: int, effect: machine.Effect) -> list[machine.Event]:
        match effect:
            case machine.Send():
                if self.dice.random() < self.reach:
                    self.chain.submit(self.tx, self.now)
                return [machine.Sent(0, "lost") if self.lost() else machine.Sent(1)]
            case machine.ReadHeight():
                return list(self.heights())
            case machine.ReadStatus(history=history):
                seen = self.statuses(history=history)
                return [] if seen is None else [seen]
            case _:
                self.write(epoch, effect)
                return []

    def write(self, epoch: int, effect: machine.Effect) -> None:
        if epoch != self.row.epoch or self.row.state in ("finalized", "failed", "expired"):
            self.log(f"epoch {epoch} is fenced: {effect}")
            return
        self.log(f"epoch {epoch} {effect}")
        match effect:
            case machine.MarkSent():
                self.row.state = "sent"
            case machine.MarkConfirmed(slot=slot):
                self.row.state, self.row.landed_slot = "confirmed", slot
            case machine.MarkDropped():
                self.row.state, self.row.landed_slot = "sent", None
            case machine.Settle(outcome=outcome, slot=slot):
                self.row.state, self.row.landed_slot = outcome, slot
                self.check_end()

    def check_end(self) -> None:
        """An end is true when it is recorded, and stays so."""
        landed = self.chain.landed.get(self.tx.name)
        final = landed is not None and landed <= self.chain.final
        if self.row.state == "finalized" and not final:
            self.wrong = "finalized, and the block may still be dropped"
        if self.row.state == "expired":
            possible = self.chain.final < self.tx.last_valid
            if landed is not None or possible:
                self.wrong = f"expired, landed at {landed}, final height {self.chain.final}"

    def run(self) -> str | None:
        epoch, state = self.claim()
        stalled: tuple[int, machine.RelayState] | None = None
        for tick in range(STORM_TICKS + CALM_TICKS):
            self.now = tick
            self.chain.calm = tick >= STORM_TICKS
            if not self.chain.calm and self.dice.random() < 0.2:
                self.lags = [self.dice.randrange(MOST_LAG + 1) for _ in self.lags]
            self.chain.tick(tick)
            state = self.round(epoch, state)
            if stalled is not None and self.dice.random() < 0.2:
                stalled = (stalled[0], self.round(*stalled))
            if not self.chain.calm and self.dice.random() < 0.05:
                self.log(f"epoch {epoch} stalls or dies")
                stalled = (epoch, state)
                epoch, state = self.claim()
            if self.wrong is not None:
                return self.wrong
            if self.row.state in ("finalized", "expired"):
                break
        landed = self.chain.landed.get(self.tx.name)
        expected = "expired" if landed is None else "finalized"
        if self.row.state != expected:
            return f"the row is {self.row.state}, and the transaction {expected}"
        return None


def simulate(seed: int, order: str = "ours", schedule: list[str] | None = None) -> str | None:
    """Run one seed; what went wrong, None for nothing."""
    return World(seed, ORDERS[order], [] if schedule is None else schedule).run()


if __name__ == "__main__":
    lines: list[str] = []
    fault = simulate(int(sys.argv[1]), sys.argv[2] if sys.argv[2:] else "ours", lines)
    print("\n".join([*lines, fault or "the row says what is true"]))  # noqa: T201
    sys.exit(fault is not None)
