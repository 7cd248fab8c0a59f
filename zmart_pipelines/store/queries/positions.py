"""Positions, with what they are worth by the program's own payout formula."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.program.payout import claim_amount
from zmart_pipelines.store.queries.markets import MATCHED, QUESTION
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables import community, market

_positions = market.positions
_markets = market.markets


class Position(msgspec.Struct, frozen=True):
    """What a wallet holds in a market, and the market's figures that value it.

    Shares have 9 decimals, ``total_invested`` and ``claimed_amount`` are lamports, times
    chain seconds. ``market_shares_*`` include the b/1000 shares without an owner.
    """

    market_id: bytes
    user: bytes
    shares_yes: int
    shares_no: int
    total_invested: int
    trades_count: int
    first_trade_at: int
    last_trade_at: int
    has_claimed: bool
    claimed_amount: int
    as_of_slot: int
    question: str
    category: str | None
    market_address: bytes
    state: int
    price_yes: int
    current_liquidity: int
    market_shares_yes: int
    market_shares_no: int
    final_outcome: bool | None
    finalized_at: int
    commitment: str

    def payout(self, outcome: bool | None) -> int:
        """Lamports that claiming pays when the market ends so (None: invalid, a refund)."""
        return claim_amount(
            outcome,
            shares_yes=self.shares_yes,
            shares_no=self.shares_no,
            total_invested=self.total_invested,
            market_shares_yes=self.market_shares_yes,
            market_shares_no=self.market_shares_no,
            current_liquidity=self.current_liquidity,
        )

    @property
    def current_value(self) -> int:
        """Lamports: the claim once final, what was claimed, else both payouts by price."""
        if self.has_claimed:
            return self.claimed_amount
        if self.state == MarketState.FINALIZED:
            return self.payout(self.final_outcome)
        weighted = self.payout(True) * self.price_yes
        weighted += self.payout(False) * (PRECISION - self.price_yes)
        return weighted // PRECISION

    @property
    def open_value(self) -> int:
        """Lamports: ``current_value`` of what is not yet claimed."""
        return 0 if self.has_claimed else self.current_value

    @property
    def settled(self) -> bool:
        """Whether the market is finalized and nothing is left to claim."""
        return self.state == MarketState.FINALIZED and self.open_value == 0

    @property
    def unrealized_pnl(self) -> int:
        """``current_value`` less everything paid in, in lamports."""
        return self.current_value - self.total_invested


def _select() -> Select[Any]:
    return select(
        _positions,
        QUESTION.label("question"),
        community.market_drafts.c.category,
        _markets.c.address.label("market_address"),
        _markets.c.state,
        _markets.c.price_yes,
        _markets.c.current_liquidity,
        _markets.c.shares_yes.label("market_shares_yes"),
        _markets.c.shares_no.label("market_shares_no"),
        _markets.c.final_outcome,
        _markets.c.finalized_at,
        _markets.c.commitment,
    ).select_from(
        _positions.join(_markets, _markets.c.market_id == _positions.c.market_id).outerjoin(
            community.market_drafts, MATCHED
        )
    )


def of_user(conn: Connection, user: bytes, *, limit: int = 100, offset: int = 0) -> list[Position]:
    """Return a wallet's positions, the last traded first."""
    statement = (
        _select()
        .where(_positions.c.user == user)
        .order_by(_positions.c.last_trade_at.desc(), _positions.c.market_id)
    )
    return many(Position, conn.execute(statement.limit(limit).offset(offset)))


def positions_of_market(
    conn: Connection, market_id: bytes, *, limit: int = 100, offset: int = 0
) -> list[Position]:
    """Return a market's positions, the largest investment first."""
    statement = (
        _select()
        .where(_positions.c.market_id == market_id)
        .order_by(_positions.c.total_invested.desc(), _positions.c.user)
    )
    return many(Position, conn.execute(statement.limit(limit).offset(offset)))


def positions_of_markets(conn: Connection, market_ids: Collection[bytes]) -> list[Position]:
    """All positions of these markets, in no order."""
    statement = _select().where(_positions.c.market_id.in_(list(market_ids)))
    return many(Position, conn.execute(statement))


def get(conn: Connection, market_id: bytes, user: bytes) -> Position | None:
    """Return a wallet's position in a market."""
    row = conn.execute(
        _select().where(_positions.c.market_id == market_id, _positions.c.user == user)
    ).one_or_none()
    return None if row is None else one(Position, row)


def holds(conn: Connection, market_id: bytes, user: bytes) -> bool:
    """Whether the wallet has a position with shares in the market."""
    row = conn.execute(
        select(_positions.c.user).where(
            _positions.c.market_id == market_id,
            _positions.c.user == user,
            (_positions.c.shares_yes > 0) | (_positions.c.shares_no > 0),
        )
    ).one_or_none()
    return row is not None
