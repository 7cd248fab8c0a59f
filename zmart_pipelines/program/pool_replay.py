"""A market's pool after each of its trades, with the lamports that they left in its account.

The ledger's fold applies the same rules to events; this replays them from stored trades, whose
order and sizes the fold has accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from zmart_pipelines.program.lmsr import Fees, Pool, sell, split_total
from zmart_pipelines.program.payout import MARKET_RENT


class PoolTrade(NamedTuple):
    """A trade, with the fees in force when it was made.

    ``cost`` is a buy's total with fees, or a sale's net proceeds, in lamports; ``price_yes``
    (after the trade) and ``shares`` have 9 decimals; ``at`` is in chain seconds.
    """

    at: int
    buys: bool
    outcome: bool
    shares: int
    cost: int
    price_yes: int
    fees: Fees


class PoolState(msgspec.Struct, frozen=True, gc=False):
    """A pool after some trades.

    Attributes:
        shares_yes: With the b / 1000 shares that no one owns, 9 decimals; so ``shares_no``.
        liquidity: The program's ``current_liquidity``, in lamports.
        resolver_fees: Lamports that all trades so far have earned the resolver.
        balance: Lamports of the market's account, if nothing but trades had moved any.
        price_yes: 9 decimals.
        trades: Their number.
    """

    shares_yes: int
    shares_no: int
    liquidity: int
    resolver_fees: int
    balance: int
    price_yes: int
    trades: int


def opening(b_parameter: int, initial_liquidity: int, price_yes: int) -> PoolState:
    """Return the pool of a market without trades."""
    pool = Pool.fresh(b_parameter)
    return PoolState(
        pool.shares_yes, pool.shares_no, initial_liquidity, 0, MARKET_RENT, price_yes, 0
    )


def after(state: PoolState, b_parameter: int, trade: PoolTrade) -> PoolState:
    """Return the pool after one more trade."""
    if trade.buys:
        _, split, _ = split_total(trade.cost, trade.fees)
        moved, kept = trade.shares, split.resolver + split.lp
        earned, received = split.resolver, trade.cost - split.protocol
    else:
        pool = Pool(b_parameter, state.shares_yes, state.shares_no)
        sale = sell(pool, trade.outcome, trade.shares, 0, trade.fees)
        moved, kept = -trade.shares, -(sale.net + sale.protocol_fee)
        earned, received = sale.resolver_fee, kept
    return PoolState(
        shares_yes=state.shares_yes + (moved if trade.outcome else 0),
        shares_no=state.shares_no + (0 if trade.outcome else moved),
        liquidity=state.liquidity + kept,
        resolver_fees=state.resolver_fees + earned,
        balance=state.balance + received,
        price_yes=trade.price_yes,
        trades=state.trades + 1,
    )


def last_of_each(
    seconds: int, opened: PoolState, b_parameter: int, trades: Iterable[PoolTrade]
) -> Iterator[tuple[int, PoolState]]:
    """Yield the pool at the end of each interval with a trade, oldest first.

    Args:
        seconds: Length of an interval; it starts at a multiple of it.
        opened: The pool before the first trade.
        b_parameter: The market's.
        trades: All of the market's, in the chain's order.

    Yields:
        The interval's start in chain seconds, and the pool after its last trade.
    """
    state, starts_at = opened, None
    for trade in trades:
        begins = trade.at // seconds * seconds
        if starts_at is not None and begins != starts_at:
            yield starts_at, state
        state, starts_at = after(state, b_parameter, trade), begins
    if starts_at is not None:
        yield starts_at, state
