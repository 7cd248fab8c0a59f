"""What a wallet had put in, taken out, held and realised at past chain times. Pure.

Each position is replayed once over its own trades, its market's pools by the hour, and its end;
a point's figures are the sums over the positions. Amounts are lamports, times chain seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from zmart_pipelines.program.payout import claim_amount, price_weighted
from zmart_pipelines.program.pool_replay import PoolState
from zmart_pipelines.program.wallet_entry import Entry
from zmart_pipelines.statistics.cost_basis import CostBasis


class Parts(msgspec.Struct, frozen=True):
    """The parts of a wallet's result before some time.

    Attributes:
        invested: All that was paid in.
        proceeds: What sales brought.
        claimed: What claims paid.
        open_value: What the payout formula gave then for what was not claimed: by the final
            outcome, and before that both payouts by the price.
        open_cost: The average cost of what was neither sold, claimed nor lost.
        positions: How many of them there were.
    """

    invested: int = 0
    proceeds: int = 0
    claimed: int = 0
    open_value: int = 0
    open_cost: int = 0
    positions: int = 0

    @property
    def realised_pnl(self) -> int:
        """What sales, claims and settlements brought above their cost."""
        return self.proceeds + self.claimed - (self.invested - self.open_cost)

    @property
    def unrealised_pnl(self) -> int:
        """What is held above its cost."""
        return self.open_value - self.open_cost

    @property
    def pnl(self) -> int:
        """Both together: all that came out and is held, less all that was paid in."""
        return self.proceeds + self.claimed + self.open_value - self.invested


class PositionHistory(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what a position was worth at any time.

    Attributes:
        entries: The wallet's trades in this market, in the chain's order.
        pools: The market's pools, each with the last second in which it may have come about.
        final_at: When the market was finalized; None: not yet.
        outcome: Its final outcome; None also for invalid.
        emptied_at: When its creator withdrew the liquidity; None: not yet.
        claimed_at: When the position was claimed; None: not yet.
        claimed: What that paid.
    """

    entries: Sequence[Entry]
    pools: Sequence[tuple[int, PoolState]]
    final_at: int | None
    outcome: bool | None
    emptied_at: int | None
    claimed_at: int | None
    claimed: int

    def moments(self) -> Iterator[int]:
        """Yield the times at which the position may have changed."""
        yield from (entry.at for entry in self.entries)
        if self.entries:
            first = self.entries[0].at
            yield from (moment for moment, _ in self.pools if moment >= first)
        for moment in (self.final_at, self.emptied_at, self.claimed_at):
            if moment is not None:
                yield moment


class _Replay:
    """A position, moved forward in time."""

    def __init__(self, position: PositionHistory) -> None:
        self._position = position
        self._basis = CostBasis()
        self._entry = 0
        self._pool = 0

    def before(self, moment: int) -> Parts:
        """Return the parts before ``moment``, which must not be earlier than the last one."""
        position = self._position
        while self._entry < len(position.entries) and position.entries[self._entry].at < moment:
            self._basis.trade(position.entries[self._entry])
            self._entry += 1
        while self._pool < len(position.pools) and position.pools[self._pool][0] < moment:
            self._pool += 1
        claimed = _happened(position.claimed_at, moment)
        final = _happened(position.final_at, moment)
        value = 0 if claimed else self._value(moment, final)
        closed = claimed or (final and value == 0)
        basis = self._basis
        held = not closed and (basis.shares_yes > 0 or basis.shares_no > 0)
        return Parts(
            invested=basis.invested,
            proceeds=basis.proceeds,
            claimed=position.claimed if claimed else 0,
            open_value=value,
            open_cost=0 if closed else basis.open_cost,
            positions=int(held),
        )

    def _value(self, moment: int, final: bool) -> int:
        if final:
            return self._payout(self._position.outcome, moment)
        if not self._pool:
            return 0
        price = self._position.pools[self._pool - 1][1].price_yes
        return price_weighted(self._payout(True, moment), self._payout(False, moment), price)

    def _payout(self, outcome: bool | None, moment: int) -> int:
        if not self._pool:
            return self._basis.invested if outcome is None else 0
        pool = self._position.pools[self._pool - 1][1]
        emptied = _happened(self._position.emptied_at, moment)
        return claim_amount(
            outcome,
            shares_yes=self._basis.shares_yes,
            shares_no=self._basis.shares_no,
            total_invested=self._basis.invested,
            market_shares_yes=pool.shares_yes,
            market_shares_no=pool.shares_no,
            current_liquidity=0 if emptied else pool.liquidity,
        )


def _happened(moment: int | None, before: int) -> bool:
    return moment is not None and moment < before


def history(positions: Iterable[PositionHistory], times: Sequence[int]) -> list[Parts]:
    """Return the parts before each of ``times``, summed over the positions.

    Args:
        positions: Of one wallet, in different markets.
        times: Ascending. Where entries or pools are given by the hour, multiples of it.
    """
    size = len(Parts.__struct_fields__)
    changes = [[0] * size for _ in times]
    for position in positions:
        replay = _Replay(position)
        known: Sequence[int] = (0,) * size
        for index in sorted({bisect_right(times, moment) for moment in position.moments()}):
            if index == len(times):
                break
            parts = msgspec.structs.astuple(replay.before(times[index]))
            changes[index] = [
                total + new - old
                for total, new, old in zip(changes[index], parts, known, strict=True)
            ]
            known = parts
    found: list[Parts] = []
    running = [0] * size
    for change in changes:
        running = [total + part for total, part in zip(running, change, strict=True)]
        found.append(Parts(*running))
    return found
