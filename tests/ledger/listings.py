"""A simulated listing: pages of signatures, in any order that a node may choose."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.ledger.recorded_rpc import signature
from zmart_pipelines.chain.rpc_types import SignatureInfo


def some_rows(dice: random.Random, slots: int = 60, most: int = 4) -> list[SignatureInfo]:
    """Return up to ``most`` transactions in each slot, newest first."""
    return [
        SignatureInfo(signature(slot, place), slot, None, None, None, "finalized")
        for slot in range(slots, 0, -1)
        for place in range(dice.randint(0, most))
    ]


class Paged:
    """A node's listing; with dice, in another order inside a slot at each call.

    Attributes:
        begins: the lowest slot that is not pruned.
        calls: how many pages were requested.
    """

    def __init__(
        self, rows: Sequence[SignatureInfo], dice: random.Random | None = None, begins: int = 0
    ) -> None:
        self.rows = [row for row in rows if row.slot >= begins]
        self.dice = dice
        self.begins = begins
        self.calls = 0

    def signatures_for_address(
        self, _address: object, *, before: bytes | None, limit: int, **_options: object
    ) -> list[SignatureInfo]:
        self.calls += 1
        if self.dice is not None:
            self.dice.shuffle(self.rows)
            self.rows.sort(key=lambda row: -row.slot)
        start = 0
        if before is not None:
            known = [row.signature for row in self.rows]
            if before not in known:
                return []
            start = 1 + known.index(before)
        return self.rows[start : start + limit]

    endpoints = ("node",)

    def pinned_in_turn(self) -> list[Paged]:
        return [self]

    def first_available_block(self) -> int:
        return self.begins
