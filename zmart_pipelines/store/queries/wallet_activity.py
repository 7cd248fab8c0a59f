"""What a wallet did, newest first, in pages: trades, votes and claims."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.markets import MATCHED, QUESTION
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.queries.trades import Trade
from zmart_pipelines.store.queries.votes import Vote, effective_ballots
from zmart_pipelines.store.tables import community, market

_trades = market.trades
_claims = market.claims
_markets = market.markets
_votes = effective_ballots


def _newest(name: str, *columns: Any) -> Order:
    return Order(name, tuple(KeyColumn(column.name, column, descending=True) for column in columns))


# The signature separates trades whose index in the block is not known.
TRADES: Final = _newest(
    "wallet_trades",
    _trades.c.slot,
    _trades.c.index_in_block,
    _trades.c.signature,
    _trades.c.log_index,
)
CLAIMS: Final = _newest("wallet_claims", _claims.c.slot, _claims.c.signature, _claims.c.log_index)
VOTES: Final = _newest(
    "wallet_votes", _votes.c.voted_at, _votes.c.market_id, _votes.c.kind, _votes.c.round
)


def trades_of_wallet(
    conn: Connection, wallet: bytes, *, after: Key | None, limit: int, offset: int = 0
) -> list[Trade]:
    """Return a page of a wallet's trades in ``TRADES``."""
    statement = select(_trades).where(_trades.c.user == wallet)
    return many(
        Trade, conn.execute(TRADES.page(statement, after=after, limit=limit, offset=offset))
    )


def _cast(statement: Select[Any], wallet: bytes, kind: str | None) -> Select[Any]:
    statement = statement.where(_votes.c.wallet == wallet)
    return statement if kind is None else statement.where(_votes.c.kind == kind)


def votes_of_wallet(
    conn: Connection,
    wallet: bytes,
    *,
    kind: str | None = None,
    after: Key | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[Vote]:
    """Return a page of a wallet's effective votes in ``VOTES``."""
    paged = VOTES.page(_cast(select(_votes), wallet, kind), after=after, limit=limit, offset=offset)
    return many(Vote, conn.execute(paged))


def count_votes(conn: Connection, wallet: bytes, *, kind: str | None = None) -> int:
    """Return the number of a wallet's effective votes."""
    statement = _cast(select(func.count()).select_from(_votes), wallet, kind)
    number: int = conn.execute(statement).scalar_one()
    return number


class PaidClaim(msgspec.Struct, frozen=True):
    """A payout with its market's question; ``amount`` in lamports, ``outcome`` None: a refund."""

    signature: bytes
    log_index: int
    market_id: bytes
    market_address: bytes
    question: str
    outcome: bool | None
    amount: int
    claimed_at: int
    slot: int
    commitment: str


def claims_of_wallet(
    conn: Connection, wallet: bytes, *, after: Key | None, limit: int, offset: int = 0
) -> list[PaidClaim]:
    """Return a page of a wallet's payouts in ``CLAIMS``."""
    statement = (
        select(_claims, _markets.c.address.label("market_address"), QUESTION.label("question"))
        .select_from(
            _claims.join(_markets, _markets.c.market_id == _claims.c.market_id).outerjoin(
                community.market_drafts, MATCHED
            )
        )
        .where(_claims.c.user == wallet)
    )
    paged = CLAIMS.page(statement, after=after, limit=limit, offset=offset)
    return many(PaidClaim, conn.execute(paged))


class ClaimTotals(msgspec.Struct, frozen=True):
    """The number of a wallet's payouts, and the lamports that they paid."""

    number: int
    amount: int


def claim_totals(conn: Connection, wallet: bytes) -> ClaimTotals:
    """Return the sums over a wallet's payouts."""
    row = conn.execute(
        select(func.count(), func.coalesce(func.sum(_claims.c.amount), 0)).where(
            _claims.c.user == wallet
        )
    ).one()
    return ClaimTotals(row[0], int(row[1]))
