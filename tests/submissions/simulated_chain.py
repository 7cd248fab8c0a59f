"""A chain for the simulation: it skips slots, forgets, forks and lands late, by its dice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FINALITY = 6
VALID = 12


@dataclass
class Transaction:
    """Signed bytes: they can land while the block of their hash is on the chain and young."""

    name: int
    block: int
    height: int
    counts: int = 0

    @property
    def last_valid(self) -> int:
        return self.height + VALID


@dataclass
class Chain:
    """Blocks by height; each has an identity, a slot and what landed in it."""

    dice: random.Random
    calm: bool = False
    blocks: list[int] = field(default_factory=lambda: [0])
    slots: list[int] = field(default_factory=lambda: [0])
    landed: dict[int, int] = field(default_factory=dict)
    pool: dict[int, tuple[Transaction, int]] = field(default_factory=dict)
    final: int = 0
    slot: int = 0
    made: int = 0

    def submit(self, tx: Transaction, tick: int) -> None:
        """A leader gets the bytes, soon, late or never. It may hold them already."""
        if tx.name in self.landed or tx.name in self.pool:
            return
        if not self.calm and self.dice.random() < 0.35:
            return
        late = 0 if self.calm or self.dice.random() < 0.5 else self.dice.randrange(VALID + 2)
        self.pool[tx.name] = (tx, tick + late)

    def tick(self, now: int) -> None:
        """One slot: a block or none; sometimes a fork that drops unfinalized blocks."""
        self.slot += 1
        if not self.calm and self.dice.random() < 0.04:
            self._fork(now)
        if not self.calm and self.dice.random() < 0.1:
            return
        self.made += 1
        self.blocks.append(self.made)
        self.slots.append(self.slot)
        height = len(self.blocks) - 1
        for name, (tx, due) in list(self.pool.items()):
            if due > now:
                continue
            del self.pool[name]
            if self.can_land(tx, height):
                self.landed[name] = height
        self.final = max(self.final, height - FINALITY)

    def can_land(self, tx: Transaction, height: int) -> bool:
        return (
            height <= tx.last_valid
            and tx.height < len(self.blocks)
            and self.blocks[tx.height] == tx.block
            and tx.name not in self.landed
        )

    def _fork(self, now: int) -> None:
        keep = self.dice.randint(self.final, len(self.blocks) - 1)
        del self.blocks[keep + 1 :]
        del self.slots[keep + 1 :]
        for name, height in list(self.landed.items()):
            if height > keep:
                del self.landed[name]
                self.forgotten(name, now)

    def forgotten(self, name: int, now: int) -> None:
        """What a fork dropped comes back by itself half of the time."""
        if self.dice.random() < 0.5:
            tx = self.known[name]
            self.pool[name] = (tx, now + self.dice.randrange(4))

    known: dict[int, Transaction] = field(default_factory=dict)
