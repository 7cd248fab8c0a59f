"""Rows as the ledger would have projected them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import Connection, insert

from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.store.tables import community
from zmart_pipelines.store.tables import market as tables

SOL = 10**9
CREATED = 1_790_000_000


def address_of(market_id: bytes) -> str:
    """The address of a market's account."""
    return str(market_address(DEFAULT_PROGRAM_ID, market_id)[0])


def market(conn: Connection, market_id: bytes, **values: Any) -> None:
    """One market, ACTIVE unless said otherwise."""
    row = {
        "market_id": market_id,
        "address": bytes(Pubkey.from_string(address_of(market_id))),
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


def configuration(conn: Connection, **values: Any) -> None:
    """The program's configuration, as it is initialized unless said otherwise."""
    row = {
        "signature": bytes(64),
        "log_index": 0,
        "slot": 1,
        "index_in_block": 0,
        "changed_at": CREATED,
        "protocol_fee_bps": 300,
        "resolver_reward_bps": 200,
        "liquidity_provider_fee_bps": 500,
        "proposal_approval_threshold": 7000,
        "dispute_success_threshold": 6000,
        "min_resolution_delay": 86_400,
        "dispute_period": 259_200,
        "is_paused": False,
    }
    conn.execute(insert(tables.config_history).values(row | values))


def wallet(number: int) -> Keypair:
    """A keypair that is the same in every run."""
    return Keypair.from_seed(number.to_bytes(32, "big"))


def question(
    conn: Connection,
    market_id: bytes,
    text: str,
    category: str = "science",
    ends_at: int = 1_924_992_000,
    **values: Any,
) -> None:
    """The matched draft that gives a market its question; ``ends_at`` in Unix seconds."""
    row = {
        "market_id": market_id,
        "creator": bytes(32),
        "nonce": market_id[:16],
        "question_hash": "Qm",
        "document": b"{}",
        "question": text,
        "description": "More about it.",
        "category": category,
        "tags": ["one", "two"],
        "ends_at": datetime.fromtimestamp(ends_at, UTC),
        "expires_at": datetime(2030, 1, 1, tzinfo=UTC),
        "matched_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    conn.execute(insert(community.market_drafts).values(row | values))


def trade(conn: Connection, market_id: bytes, user: Keypair, number: int, **values: Any) -> None:
    """The trade of slot ``number``."""
    row = {
        "signature": number.to_bytes(64, "big"),
        "log_index": 4,
        "market_id": market_id,
        "user": bytes(user.pubkey()),
        "trade_type": "buy",
        "outcome": True,
        "shares": 10 * SOL,
        "cost": SOL,
        "price_yes": 520_000_000,
        "traded_at": CREATED + number,
        "slot": number,
        "index_in_block": 0,
        "commitment": "confirmed",
    }
    conn.execute(insert(tables.trades).values(row | values))


def position(conn: Connection, market_id: bytes, user: Keypair, **values: Any) -> None:
    """A position of ten YES shares."""
    row = {
        "market_id": market_id,
        "user": bytes(user.pubkey()),
        "shares_yes": 10 * SOL,
        "shares_no": 0,
        "total_invested": SOL,
        "trades_count": 1,
        "first_trade_at": CREATED,
        "last_trade_at": CREATED + 5,
        "has_claimed": False,
        "claimed_amount": 0,
        "as_of_slot": 1,
    }
    conn.execute(insert(tables.positions).values(row | values))
