"""Trades and positions as clients read them."""

from __future__ import annotations

import msgspec

from api.identifiers import base58_key, base58_signature
from api.schemas import common
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import positions, trades


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade. ``cost``: a buy's total with fees, a sell's net proceeds, in lamports."""

    id: str
    market_id: str
    user_wallet: str
    user: str
    trade_type: str
    outcome: bool
    outcome_label: str
    shares: int
    cost: int
    price_yes: int
    price_after: float
    tx_signature: str
    block_time: str | None
    timestamp: str | None
    created_at: str | None
    slot: int
    commitment: str
    exact: dict[str, str]


def trade(row: trades.Trade) -> Trade:
    """A trade's row as clients read it."""
    user = base58_key(row.user)
    signature = base58_signature(row.signature)
    moment = common.chain_time(row.traded_at)
    return Trade(
        id=f"{signature}:{row.log_index}",
        market_id=row.market_id.hex(),
        user_wallet=user,
        user=user,
        trade_type=row.trade_type,
        outcome=row.outcome,
        outcome_label="YES" if row.outcome else "NO",
        shares=row.shares,
        cost=row.cost,
        price_yes=row.price_yes,
        price_after=common.fraction(row.price_yes),
        tx_signature=signature,
        block_time=moment,
        timestamp=moment,
        created_at=moment,
        slot=row.slot,
        commitment=row.commitment,
        exact=common.exact(row, "shares", "cost"),
    )


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's position by /api/positions."""

    id: str
    market_id: str
    on_chain_address: str
    question: str
    user: str
    user_wallet: str
    yes_shares: int
    no_shares: int
    shares_yes: int
    shares_no: int
    total_invested: int
    current_value: int
    unrealized_pnl: int
    trades_count: int
    has_claimed: bool
    claimed_amount: int
    state: str
    created_at: str | None
    updated_at: str | None
    commitment: str
    exact: dict[str, str]


def position(row: positions.Position) -> Position:
    """A position's row for programs: numbers."""
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
        state=MarketState(row.state).name,
        created_at=common.chain_time(row.first_trade_at),
        updated_at=common.chain_time(row.last_trade_at),
        commitment=row.commitment,
        exact=common.exact(
            row,
            "shares_yes",
            "shares_no",
            "total_invested",
            "current_value",
            "unrealized_pnl",
            "claimed_amount",
        ),
    )


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's position by /api/users/…/positions, as the frontend's portfolio reads it:
    amounts are integer strings, ``state`` is the program's number, ``roi`` is in percent.
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


def holding(row: positions.Position) -> Holding:
    """A position's row for the portfolio page: texts."""
    invested = row.total_invested
    return Holding(
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
