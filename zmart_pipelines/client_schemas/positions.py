"""Positions as clients read them: with amounts as numbers, or as text for the portfolio page."""

from __future__ import annotations

from typing import Any

import msgspec

from zmart_pipelines.client_schemas.formats import (
    PRICE_SCALE,
    ExactIntegers,
    LargeInt,
    StateName,
    base58_key,
    chain_time,
    state_name,
)
from zmart_pipelines.store.queries import positions


class Position(ExactIntegers, frozen=True, kw_only=True):
    """A wallet's position in one market.

    Shares have 9 decimals, amounts are lamports. `current_value` is what was claimed, what the
    payout formula gives once the market is final, and before that both payouts by the price.
    `open_value` is the part of it that is not claimed, `open_cost` the average cost of the shares
    that part is for, and `unrealised_pnl` is `open_value - open_cost`. `realised_pnl` is what
    sales, the claim and the settlement brought above their cost. `claimable` is what the program
    would pay now; where that is 0, `claim_refusal` names its error. `average_price_*` is the
    average cost of a whole share, 0 without one. `yes_shares`, `no_shares` and `unrealized_pnl` are
    older names.
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
    proceeds: LargeInt
    current_value: LargeInt
    open_value: LargeInt
    open_cost: LargeInt
    cost_yes: LargeInt
    cost_no: LargeInt
    average_price_yes: LargeInt
    average_price_no: LargeInt
    payout_yes: LargeInt
    payout_no: LargeInt
    claimable: LargeInt
    claim_refusal: str | None
    realised_pnl: LargeInt
    unrealised_pnl: LargeInt
    unrealized_pnl: LargeInt
    trades_count: int
    has_claimed: bool
    claimed_amount: LargeInt
    status: positions.Status
    state: StateName
    final_outcome: bool | None
    created_at: str | None
    updated_at: str | None
    commitment: str


class PortfolioPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's position as the frontend's portfolio page reads it.

    The members are those of `Position`, with amounts (lamports) and shares (9 decimals) as
    integers written as text. `state` is the program's number, `roi` the realised and unrealised
    profit in percent of what was invested.
    """

    market_id: str
    question: str
    category: str | None
    on_chain_address: str
    shares_yes: str
    shares_no: str
    total_invested: str
    proceeds: str
    current_value: str
    open_value: str
    open_cost: str
    cost_yes: str
    cost_no: str
    average_price_yes: str
    average_price_no: str
    payout_yes: str
    payout_no: str
    claimable: str
    claim_refusal: str | None
    realised_pnl: str
    unrealised_pnl: str
    unrealized_pnl: str
    roi: float
    status: positions.Status
    state: int
    has_claimed: bool
    claimed_amount: str
    final_outcome: bool | None


def _amounts(row: positions.Position, result: positions.PositionResult) -> dict[str, Any]:
    """Return the amounts that both forms show."""
    open_cost = result.cost_yes + result.cost_no
    unrealised = row.open_value - open_cost
    return {
        "shares_yes": row.shares_yes,
        "shares_no": row.shares_no,
        "total_invested": row.total_invested,
        "proceeds": result.proceeds,
        "current_value": row.current_value,
        "open_value": row.open_value,
        "open_cost": open_cost,
        "cost_yes": result.cost_yes,
        "cost_no": result.cost_no,
        "payout_yes": row.payout(True),
        "payout_no": row.payout(False),
        "claimable": row.payout(row.final_outcome) if result.claim_refusal is None else 0,
        "realised_pnl": result.realised_pnl,
        "unrealised_pnl": unrealised,
        "unrealized_pnl": unrealised,
        "claimed_amount": row.claimed_amount,
    }


def _average_prices(row: positions.Position, result: positions.PositionResult) -> dict[str, Any]:
    """Return the average cost of one share, rounded down; 0 where none is held."""

    def average(shares: int, cost: int) -> int:
        return cost * PRICE_SCALE // shares if shares else 0

    return {
        "average_price_yes": average(row.shares_yes, result.cost_yes),
        "average_price_no": average(row.shares_no, result.cost_no),
    }


def _common(row: positions.Position, result: positions.PositionResult) -> dict[str, Any]:
    return {
        "market_id": row.market_id.hex(),
        "question": row.question,
        "on_chain_address": base58_key(row.market_address),
        "claim_refusal": None if result.claim_refusal is None else result.claim_refusal.name,
        "status": row.status,
        "has_claimed": row.has_claimed,
        "final_outcome": row.final_outcome,
    }


def position(row: positions.Position, result: positions.PositionResult) -> Position:
    """Return a position with its amounts as numbers."""
    user = base58_key(row.user)
    return Position(
        **_common(row, result),
        **_amounts(row, result),
        **_average_prices(row, result),
        id=f"{row.market_id.hex()}:{user}",
        user=user,
        user_wallet=user,
        yes_shares=row.shares_yes,
        no_shares=row.shares_no,
        trades_count=row.trades_count,
        state=state_name(row.state),
        created_at=chain_time(row.first_trade_at),
        updated_at=chain_time(row.last_trade_at),
        commitment=row.commitment,
    )


def portfolio_position(
    row: positions.Position, result: positions.PositionResult
) -> PortfolioPosition:
    """Return a position with its amounts as text."""
    invested = row.total_invested
    amounts = _amounts(row, result)
    profit = amounts["realised_pnl"] + amounts["unrealised_pnl"]
    texts: dict[str, Any] = {
        name: str(amount) for name, amount in {**amounts, **_average_prices(row, result)}.items()
    }
    return PortfolioPosition(
        **_common(row, result),
        **texts,
        category=row.category,
        roi=round(100 * profit / invested, 4) if invested else 0.0,
        state=row.state,
    )
