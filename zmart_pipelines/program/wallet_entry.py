"""A trade as an entry of a wallet's account in one market."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A wallet's trade in one market, or the sum of its buys of one side in an hour.

    ``cost`` is a buy's total with fees, or a sale's net proceeds, in lamports; shares have 9
    decimals; ``at`` is in chain seconds, for a sum the start of the hour; ``trades`` are counted.
    """

    at: int
    buys: bool
    outcome: bool
    shares: int
    cost: int
    trades: int = 1
