"""Trades as clients read them."""

from __future__ import annotations

from typing import Any

from zmart_pipelines.client_schemas.formats import (
    ExactIntegers,
    LargeInt,
    base58_key,
    base58_signature,
    chain_time,
    price_fraction,
)
from zmart_pipelines.store.queries import trades


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
