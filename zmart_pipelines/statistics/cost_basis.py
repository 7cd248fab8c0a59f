"""What a wallet's shares cost it, by the average of each side, and what its sales realised. Pure.

Amounts are lamports, shares have 9 decimals. A sale takes its part of the side's cost with it,
rounded down; so what all sales took and what is left add up to all that was paid in, exactly.
"""

from __future__ import annotations

import msgspec

from zmart_pipelines.program.wallet_entry import Entry


class CostBasis(msgspec.Struct):
    """The shares that a wallet holds of one market, and their average cost, side by side."""

    shares_yes: int = 0
    shares_no: int = 0
    cost_yes: int = 0
    cost_no: int = 0
    invested: int = 0
    proceeds: int = 0

    @property
    def open_cost(self) -> int:
        """What the shares held cost, in lamports."""
        return self.cost_yes + self.cost_no

    def trade(self, entry: Entry) -> int:
        """Take in the next trade and return the profit that it realised: 0 for a buy."""
        taken = 0
        if entry.buys:
            self._move(entry.outcome, entry.shares, entry.cost)
            self.invested += entry.cost
        else:
            held = self.shares_yes if entry.outcome else self.shares_no
            cost = self.cost_yes if entry.outcome else self.cost_no
            # A ledger with gaps may show a sale of more than was bought.
            sold = min(entry.shares, held)
            taken = cost * sold // held if held else 0
            self._move(entry.outcome, -sold, -taken)
            self.proceeds += entry.cost
        return 0 if entry.buys else entry.cost - taken

    def _move(self, outcome: bool, shares: int, cost: int) -> None:
        if outcome:
            self.shares_yes += shares
            self.cost_yes += cost
        else:
            self.shares_no += shares
            self.cost_no += cost
