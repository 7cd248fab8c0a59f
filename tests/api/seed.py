"""Rows as the ledger would have projected them."""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import Connection, insert

from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.store.tables import market as tables

SOL = 10**9
CREATED = 1_790_000_000


def ADDRESS(market_id: bytes) -> str:  # noqa: N802
    """The address of a market's account."""
    return str(market_address(DEFAULT_PROGRAM_ID, market_id)[0])


def market(conn: Connection, market_id: bytes, **values: Any) -> None:
    """One market, ACTIVE unless said otherwise."""
    row = {
        "market_id": market_id,
        "address": bytes(Pubkey.from_string(ADDRESS(market_id))),
        "creator": bytes(Pubkey.new_unique()),
        "state": 2,
        "b_parameter": 100 * SOL,
        "initial_liquidity": SOL // 10,
        "current_liquidity": SOL // 10,
        "shares_yes": SOL // 10,
        "shares_no": SOL // 10,
        "total_volume": 0,
        "created_at": CREATED,
        "approved_at": 0,
        "activated_at": 0,
        "resolution_proposed_at": 0,
        "resolved_at": 0,
        "finalized_at": 0,
        "dispute_initiated_at": 0,
        "accumulated_resolver_fees": 0,
        "accumulated_lp_fees": 0,
        "proposal_likes": 0,
        "proposal_dislikes": 0,
        "dispute_agree": 0,
        "dispute_disagree": 0,
        "was_disputed": False,
        "price_yes": SOL // 2,
        "trades_count": 0,
        "as_of_slot": 1,
        "as_of_index": 0,
        "as_of_log": 0,
        "commitment": "confirmed",
    }
    conn.execute(insert(tables.markets).values(row | values))
