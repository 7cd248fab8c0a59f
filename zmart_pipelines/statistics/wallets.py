"""Results of wallets, per market and by the hour. Pure; amounts in lamports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from zmart_pipelines.program.wallet_entry import Entry
from zmart_pipelines.statistics.cost_basis import CostBasis

HOUR: Final = 3_600

Row: TypeAlias = dict[str, Any]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A position as it is now, and how its market ended.

    Attributes:
        invested: All that was paid in.
        open_value: What the program's payout formula gives for what is not claimed.
        settled: The market is finalized and nothing is left to claim.
        claimed: The payout, which is 0 before it is claimed.
        claimed_at: When it was claimed, in chain seconds; None: not yet.
        final_at: When the market was finalized, in chain seconds; None: not yet.
        lost_at: When an unclaimed position was settled, in chain seconds: the finalization, or
            the withdrawal that left nothing to pay it with.
        outcome: The final outcome; None also for invalid.
    """

    market_id: bytes
    wallet: bytes
    shares_yes: int
    shares_no: int
    invested: int
    open_value: int
    settled: bool
    claimed: int
    claimed_at: int | None
    final_at: int | None
    lost_at: int | None
    outcome: bool | None

    @property
    def larger_side(self) -> bool | None:
        """The side with more shares (true: YES); None where both are equal."""
        return None if self.shares_yes == self.shares_no else self.shares_yes > self.shares_no


class WalletResult(msgspec.Struct, frozen=True):
    """A position's row of ``market.wallet_statistics`` and its rows of ``market.wallet_hours``.

    ``cost_yes`` and ``cost_no`` are the two parts of the row's ``open_cost``.
    """

    statistics: Row
    hours: list[Row]
    cost_yes: int
    cost_no: int


def wallet_result(held: Outcome, entries: Sequence[Entry]) -> WalletResult:
    """Return what a wallet put into a market, took out of it, still holds and realised.

    Sales realise their proceeds less the average cost of the shares sold; a claim the payout less
    what is left of the cost; the settlement of an unclaimed position the loss of that. So
    ``realised_pnl`` is always ``proceeds + claimed - invested + open_cost``.

    Args:
        held: The position.
        entries: The wallet's trades in this market, in the chain's order.
    """
    basis = CostBasis()
    hours: dict[int, Row] = {}
    realised = 0
    for entry in entries:
        profit = basis.trade(entry)
        realised += profit
        _add(
            hours,
            held,
            entry.at,
            trades=entry.trades,
            volume=entry.cost,
            realised_pnl=profit,
        )
    taken = basis.proceeds - realised
    open_cost = max(held.invested - taken, 0)
    closed_at = held.claimed_at if held.claimed_at is not None else held.lost_at
    if closed_at is not None:
        _add(hours, held, closed_at, realised_pnl=held.claimed - open_cost)
        open_cost = 0
    if held.final_at is not None and held.outcome is not None and held.larger_side is not None:
        right = int(held.larger_side == held.outcome)
        _add(hours, held, held.final_at, resolved=1, resolved_right=right)
    row = {
        "wallet": held.wallet,
        "market_id": held.market_id,
        "trades": sum(entry.trades for entry in entries),
        "volume": sum(entry.cost for entry in entries),
        "invested": held.invested,
        "proceeds": basis.proceeds,
        "claimed": held.claimed,
        "open_value": held.open_value,
        "open_cost": open_cost,
        "settled": held.settled,
        "realised_pnl": basis.proceeds + held.claimed - held.invested + open_cost,
    }
    cost_yes = min(basis.cost_yes, open_cost)
    return WalletResult(row, list(hours.values()), cost_yes, open_cost - cost_yes)


def _add(hours: dict[int, Row], held: Outcome, moment: int, **amounts: int) -> None:
    starts_at = moment // HOUR * HOUR
    row = hours.setdefault(
        starts_at,
        {
            "wallet": held.wallet,
            "market_id": held.market_id,
            "starts_at": starts_at,
            "trades": 0,
            "volume": 0,
            "realised_pnl": 0,
            "resolved": 0,
            "resolved_right": 0,
        },
    )
    for name, amount in amounts.items():
        row[name] += amount
