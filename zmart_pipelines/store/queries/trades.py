"""Trades, claims and withdrawals."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import market

_trades = market.trades
_claims = market.claims
_withdrawals = market.withdrawals


class Trade(msgspec.Struct, frozen=True):
    """One trade.

    ``cost`` is a buy's total with fees or a sell's net proceeds, in lamports; shares and
    ``price_yes`` (after the trade) have 9 decimals; ``traded_at`` is in chain seconds.
    """

    signature: bytes
    log_index: int
    market_id: bytes
    user: bytes
    trade_type: str
    outcome: bool
    shares: int
    cost: int
    price_yes: int
    traded_at: int
    slot: int
    index_in_block: int
    commitment: str


def order(*, descending: bool = True) -> Order:
    """Return the chain's order of trades.

    The signature tells trades apart whose index in the block is not known.
    """
    names = ("slot", "index_in_block", "log_index", "signature")
    columns = tuple(KeyColumn(name, _trades.c[name], descending=descending) for name in names)
    return Order("newest" if descending else "oldest", columns)


def find_trades(
    conn: Connection,
    *,
    market_id: bytes | None = None,
    user: bytes | None = None,
    descending: bool = True,
    limit: int = 50,
    offset: int = 0,
    after: Key | None = None,
) -> list[Trade]:
    """Return trades of a market or a wallet in the chain's order, newest first by default.

    Args:
        after: Key, in ``order``, of the last trade of the page before.
    """
    statement = select(_trades)
    if market_id is not None:
        statement = statement.where(_trades.c.market_id == market_id)
    if user is not None:
        statement = statement.where(_trades.c.user == user)
    ordered = order(descending=descending)
    page = ordered.page(statement, after=after, limit=limit, offset=offset)
    return many(Trade, conn.execute(page))


def count(conn: Connection, *, market_id: bytes | None = None, user: bytes | None = None) -> int:
    """Return the number of trades of a market or a wallet."""
    statement = select(func.count()).select_from(_trades)
    if market_id is not None:
        statement = statement.where(_trades.c.market_id == market_id)
    if user is not None:
        statement = statement.where(_trades.c.user == user)
    return conn.execute(statement).scalar_one()


class Claim(msgspec.Struct, frozen=True):
    """One payout; ``amount`` in lamports, ``outcome`` None for a refund."""

    signature: bytes
    log_index: int
    market_id: bytes
    user: bytes
    outcome: bool | None
    amount: int
    claimed_at: int
    slot: int
    commitment: str


def claims(
    conn: Connection,
    *,
    market_id: bytes | None = None,
    user: bytes | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Claim]:
    """Return claims, newest first."""
    statement = select(_claims)
    if market_id is not None:
        statement = statement.where(_claims.c.market_id == market_id)
    if user is not None:
        statement = statement.where(_claims.c.user == user)
    order = (_claims.c.slot.desc(), _claims.c.signature, _claims.c.log_index.desc())
    return many(Claim, conn.execute(statement.order_by(*order).limit(limit).offset(offset)))


class Withdrawal(msgspec.Struct, frozen=True):
    """A creator's withdrawal of liquidity; ``amount`` in lamports."""

    signature: bytes
    log_index: int
    market_id: bytes
    creator: bytes
    amount: int
    withdrawn_at: int
    slot: int


def withdrawals(conn: Connection, market_id: bytes) -> list[Withdrawal]:
    """Return a market's withdrawals, oldest first."""
    statement = (
        select(_withdrawals)
        .where(_withdrawals.c.market_id == market_id)
        .order_by(_withdrawals.c.slot, _withdrawals.c.log_index)
    )
    return many(Withdrawal, conn.execute(statement))
