"""Trades and positions as clients read them."""

from __future__ import annotations

from typing import Any

import msgspec

from zmart_pipelines.client_schemas.formats import (
    ExactIntegers,
    LargeInt,
    StateName,
    base58_key,
    base58_signature,
    chain_time,
    price_fraction,
    state_name,
)
from zmart_pipelines.store.queries import positions, trades


class Trade(ExactIntegers, frozen=True, kw_only=True):
    """A trade.

    `cost` is a buy's total with fees, or a sell's net proceeds, in lamports. `shares` and
    `price_yes` (the price after the trade) have 9 decimals. `outcome` is true for YES.
    `user`, `timestamp` and `created_at` are older names of the same values.
    """

    id: str
    market_id: str
    user_wallet: str
    user: str
    trade_type: str
    outcome: bool
    outcome_label: str
    shares: LargeInt
    cost: LargeInt
    price_yes: int
    price_after: float
    tx_signature: str
    block_time: str | None
    timestamp: str | None
    created_at: str | None
    slot: int
    commitment: str


def trade(row: trades.Trade) -> Trade:
    """Return a trade as clients read it."""
    return Trade(**trade_fields(row))


def trade_fields(row: trades.Trade) -> dict[str, Any]:
    """Return the values of ``Trade``'s fields."""
    user = base58_key(row.user)
    signature = base58_signature(row.signature)
    traded_at = chain_time(row.traded_at)
    return {
        "id": f"{signature}:{row.log_index}",
        "market_id": row.market_id.hex(),
        "user_wallet": user,
        "user": user,
        "trade_type": row.trade_type,
        "outcome": row.outcome,
        "outcome_label": "YES" if row.outcome else "NO",
        "shares": row.shares,
        "cost": row.cost,
        "price_yes": row.price_yes,
        "price_after": price_fraction(row.price_yes),
        "tx_signature": signature,
        "block_time": traded_at,
        "timestamp": traded_at,
        "created_at": traded_at,
        "slot": row.slot,
        "commitment": row.commitment,
    }


class Position(ExactIntegers, frozen=True, kw_only=True):
    """A wallet's position in one market.

    Shares have 9 decimals, amounts are lamports. `yes_shares` and `no_shares` are older
    names of `shares_yes` and `shares_no`.
    """

    id: str
    market_id: str
    on_chain_address: str
    question: str
    user: str
    user_wallet: str
    yes_shares: LargeInt
    no_shares: LargeInt
    shares_yes: LargeInt
    shares_no: LargeInt
    total_invested: LargeInt
    current_value: LargeInt
    unrealized_pnl: LargeInt
    trades_count: int
    has_claimed: bool
    claimed_amount: LargeInt
    state: StateName
    created_at: str | None
    updated_at: str | None
    commitment: str


def position(row: positions.Position) -> Position:
    """Return a position with its amounts as numbers."""
    user = base58_key(row.user)
    return Position(
        id=f"{row.market_id.hex()}:{user}",
        market_id=row.market_id.hex(),
        on_chain_address=base58_key(row.market_address),
        question=row.question,
        user=user,
        user_wallet=user,
        yes_shares=row.shares_yes,
        no_shares=row.shares_no,
        shares_yes=row.shares_yes,
        shares_no=row.shares_no,
        total_invested=row.total_invested,
        current_value=row.current_value,
        unrealized_pnl=row.unrealized_pnl,
        trades_count=row.trades_count,
        has_claimed=row.has_claimed,
        claimed_amount=row.claimed_amount,
        state=state_name(row.state),
        created_at=chain_time(row.first_trade_at),
        updated_at=chain_time(row.last_trade_at),
        commitment=row.commitment,
    )


class PortfolioPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's position as the frontend's portfolio page reads it.

    Amounts (lamports) and shares (9 decimals) are integers written as text, `state` is the
    program's number, `roi` is in percent.
    """

    market_id: str
    question: str
    category: str | None
    on_chain_address: str
    shares_yes: str
    shares_no: str
    total_invested: str
    current_value: str
    unrealized_pnl: str
    roi: float
    state: int
    has_claimed: bool
    claimed_amount: str
    final_outcome: bool | None


def portfolio_position(row: positions.Position) -> PortfolioPosition:
    """Return a position with its amounts as text."""
    invested = row.total_invested
    return PortfolioPosition(
        market_id=row.market_id.hex(),
        question=row.question,
        category=row.category,
        on_chain_address=base58_key(row.market_address),
        shares_yes=str(row.shares_yes),
        shares_no=str(row.shares_no),
        total_invested=str(invested),
        current_value=str(row.current_value),
        unrealized_pnl=str(row.unrealized_pnl),
        roi=round(100 * row.unrealized_pnl / invested, 4) if invested else 0.0,
        state=row.state,
        has_claimed=row.has_claimed,
        claimed_amount=str(row.claimed_amount),
        final_outcome=row.final_outcome,
    )
