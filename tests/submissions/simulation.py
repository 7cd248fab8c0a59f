"""Aggregators, submitters, a chain of lagging nodes, and crashes: all from one seed.

Replay one seed with its schedule printed::

    python -m tests.submissions.simulation --seed 4711 [--order ours]

Voters cast ballots all the time and learn whether they count. Two backends run in turns
and side by side: each counts, freezes and plans what is due, then drives it with the real
machine. The chain forgets, forks and lands late; nodes lag and drop answers; the backends
crash, stall past their lease and come back in the middle of a step. After the storm
everything heals, and then exactly one transaction must have landed, with every ballot that
was accepted, and the intent must be final.

Many seeds, by all processors, with progress::

    python -m tests.submissions.simulation --seeds 1000000 [--first 0]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.submissions.simulated_chain import FINALITY, Chain, Transaction
from tests.submissions.simulated_orders import ORDERS, Order
from tests.submissions.simulated_rows import Attempt, Tables
from zmart_pipelines.submissions import machine, messages
from zmart_pipelines.submissions.lease import LeaseLost
from zmart_pipelines.submissions.machine import Phase
from zmart_pipelines.submissions.messages import Verdict

MOST_LAG = 16
# Blocks of which a node knows the signatures without searching its history.
RECENT = 15
STORM_TICKS = 60
CALM_TICKS = 140
# Ballots without which nothing is decided, and how often one comes in.
THRESHOLD = 3
VOTES = 0.6


@dataclass
class World:
    """One run of the simulation."""

    seed: int
    order: Order
    schedule: list[str] | None = None
    tables: Tables = field(default_factory=Tables)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.chain = Chain(self.dice)
        self.now = 0
        self.lags = [0, 0, 0]
        self.names = 0

    def log(self, text: str) -> None:
        if self.schedule is not None:
            self.schedule.append(f"{self.now:4} h{len(self.chain.blocks) - 1} {text}")

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

    def ask(self, effect: messages.Effect, attempt: Attempt | None) -> messages.Event:
        if self.lost():
            return messages.Unreachable("lost")
        chain, tip = self.chain, self.node()
        height = self.finalized(tip)
        match effect:
            case messages.ReadAccount():
                done = any(landed <= height for landed in chain.landed.values())
                verdict = Verdict.DONE if done else Verdict.READY
                return messages.AccountSeen(slot=chain.slots[height], verdict=verdict)
            case messages.ReadHeight():
                other = self.finalized(self.node()) if self.order.two_answers else height
                return messages.HeightSeen(slot=chain.slots[other], height=height)
            case messages.ReadStatus(history=history) if attempt is not None:
                landed = chain.landed.get(attempt.tx.name)
                is_recent = landed is not None and landed > tip - RECENT
                if landed is None or landed > tip or not (history or is_recent):
                    return messages.StatusSeen(slot=chain.slots[tip])
                return messages.StatusSeen(
                    slot=chain.slots[tip],
                    landed_slot=chain.slots[landed],
                    finalized=landed <= height,
                )
            case _:
                return messages.Simulated(units=10_000)

    def new_transaction(self) -> Transaction:
        """Bytes signed with the hash of a block that some node calls confirmed."""
        height = max(self.node() - 1, 0)
        self.names += 1
        tx = Transaction(self.names, self.chain.blocks[height], height, self.tables.counts)
        self.chain.known[tx.name] = tx
        return tx

    # --- a backend, suspended before every step; True: until the next tick ---

    def backend(self, name: str) -> Generator[bool, None, None]:
        """One run: plan, then drive."""
        yield from self.plan(name)
        if self.tables.intent.status in ("planned", "live"):
            yield from self.drive(name)

    def plan(self, name: str) -> Generator[bool, None, None]:
        """The aggregator: counts, freezes, pins, and writes the intent."""
        tables = self.tables
        if tables.intent.status != "none":
            return
        counted = tables.ballots
        yield False
        if tables.frozen is None:
            if counted < THRESHOLD:
                return
            tables.freeze(counted if self.order.count_first else None)
            self.log(f"{name} froze {tables.frozen} ballots")
            yield False
        if tables.frozen is not None:
            tables.plan(tables.frozen)
            self.log(f"{name} planned {tables.counts}")
        yield False

    def drive(self, name: str) -> Generator[bool, None, None]:
        """The submitter."""
        tables = self.tables
        epoch = tables.acquire(name, self.now)
        if epoch is None:
            return
        self.log(f"{name} holds epoch {epoch}")
        while tables.intent.status in ("planned", "live"):
            yield True
            tables.renew(epoch, self.now)
            attempt = tables.take_up(epoch, self.now)
            if attempt is None and tables.intent.due > self.now:
                continue
            if attempt is None:
                state = machine.resume(failures=tables.intent.failures)
            else:
                state = machine.resume(
                    failures=tables.intent.failures,
                    last_valid=attempt.tx.last_valid,
                    sends=attempt.sends,
                    landed_slot=attempt.slot,
                )
            while state.phase is not Phase.ENDED:
                events: list[messages.Event] = [messages.Tick(self.now)]
                while events:
                    effects: list[messages.Effect] = []
                    for event in events:
                        state, wanted = self.order.step(state, event)
                        effects += wanted
                    events = []
                    for effect in effects:
                        yield False
                        if isinstance(effect, messages.Sign):
                            tx = self.new_transaction()
                            if self.order.send_first:
                                self.chain.submit(tx, self.now)
                                yield False
                            if tables.sign(epoch, self.now, tx):
                                attempt = tables.attempts[-1]
                                events.append(messages.Persisted(tx.last_valid, self.now))
                                self.log(f"{name} signed {tx.name}, valid to {tx.last_valid}")
                            else:
                                events.append(messages.Withheld("live"))
                        elif isinstance(effect, messages.Send):
                            if attempt is not None:
                                self.chain.submit(attempt.tx, self.now)
                                self.log(f"{name} sent {attempt.tx.name}")
                            events.append(messages.Sent("lost" if self.lost() else None))
                        elif isinstance(
                            effect,
                            messages.ReadAccount
                            | messages.ReadStatus
                            | messages.ReadHeight
                            | messages.Simulate,
                        ):
                            events.append(self.ask(effect, attempt))
                        else:
                            self.log(f"{name} {effect}")
                            tables.write(epoch, self.now, attempt, effect)
                if state.phase is not Phase.ENDED:
                    yield True
                    tables.renew(epoch, self.now)

    # --- the storm and the calm after it ---

    def run(self) -> str | None:
        """What is wrong in the end; None when all is as it must be."""
        running: dict[str, Generator[bool, None, None]] = {}
        stalled: dict[str, int] = {}
        for tick in range(STORM_TICKS + CALM_TICKS):
            self.now = tick
            calm = self.chain.calm = tick >= STORM_TICKS
            if not calm and self.dice.random() < 0.2:
                self.lags = [self.dice.randrange(MOST_LAG + 1) for _ in self.lags]
            if self.dice.random() < VOTES:
                self.tables.cast()
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
            current = running[name] = self.backend(name)
        try:
            while not next(current):
                if calm:
                    continue
                fate = self.dice.random()
                if fate < 0.02:
                    self.log(f"{name} crashed")
                    del running[name]
                    return
                if fate < 0.04:
                    stalled[name] = self.now + self.dice.randrange(1, 25)
                    self.log(f"{name} stalls until {stalled[name]}")
                    return
        except StopIteration:
            del running[name]
        except LeaseLost:
            self.log(f"{name} lost its lease")
            del running[name]

    def settled(self) -> bool:
        status = self.tables.intent.status
        return status not in ("none", "planned", "live") and not self.chain.pool

    def verdict(self) -> str | None:
        tables = self.tables
        landed = sorted(self.chain.landed)
        if len(landed) > 1:
            return f"landed {len(landed)} times: {landed}"
        if tables.intent.status != "final" or len(landed) != 1:
            return f"intent {tables.intent.status}, landed {landed}"
        if tables.live() is not None:
            return "a live attempt is left behind"
        if self.chain.known[landed[0]].counts != tables.ballots:
            return f"{tables.ballots} ballots were accepted, {tables.counts} counted"
        return None


def simulate(
    seed: int,
    order: str = "ours",
    schedule: list[str] | None = None,
    tables: Tables | None = None,
) -> str | None:
    """One seed; what went wrong, None for nothing."""
    return World(seed, ORDERS[order], schedule, tables or Tables()).run()


# --- many seeds ---

PART = 5_000


def faults(order: str, seeds: range) -> list[str]:
    """The seeds that went wrong, each as the command that replays it and what was wrong."""
    replay = f'python -m tests.submissions.simulation --order "{order}" --seed'
    return [
        f"{replay} {seed}: {fault}"
        for seed in seeds
        if (fault := simulate(seed, order)) is not None
    ]


def by_all_processors(
    seeds: range, progress: Callable[[int], object] = lambda done: None
) -> Iterator[str]:
    """Faults of our order as they are found; ``progress`` gets the number of completed seeds."""
    parts = [seeds[start : start + PART] for start in range(0, len(seeds), PART)]
    done = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(faults, ["ours"] * len(parts), parts)
        for part, wrong in zip(parts, found, strict=True):
            done += len(part)
            progress(done)
            yield from wrong


def _replay(seed: int, order: str) -> int:
    schedule: list[str] = []
    fault = simulate(seed, order, schedule)
    print("\n".join(schedule))  # noqa: T201
    print(fault or "one landed with every ballot, all settled")  # noqa: T201
    return int(fault is not None)


def _many(seeds: range) -> int:
    started = time.monotonic()

    def progress(done: int) -> None:
        rate = done / (time.monotonic() - started)
        print(f"\r{done} of {len(seeds)} seeds, {rate:.0f}/s ", end="", file=sys.stderr)  # noqa: T201

    wrong = 0
    for fault in by_all_processors(seeds, progress):
        wrong += 1
        print(f"\n{fault}", flush=True)  # noqa: T201
    print(file=sys.stderr)  # noqa: T201
    print(f"{len(seeds)} seeds from {seeds.start}: {wrong} went wrong")  # noqa: T201
    return int(wrong > 0)


def main() -> int:
    """Replay one seed and print its schedule, or run many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="replay this one")
    what.add_argument("--seeds", type=int, help="run so many, by all processors")
    parser.add_argument("--first", type=int, default=0, help="the first of many")
    parser.add_argument("--order", choices=list(ORDERS), default="ours")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _replay(arguments.seed, arguments.order)
    return _many(range(arguments.first, arguments.first + arguments.seeds))


if __name__ == "__main__":
    sys.exit(main())
