"""Wallets: statistics, trades, votes and positions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import identifiers
from api.dependencies import READ_ERRORS, DatabaseDep, Limit, Offset, WalletPath
from zmart_pipelines.client_schemas import formats, trading, voting
from zmart_pipelines.store.queries import candles, positions, statistics, trades, votes


class WalletStats(formats.ExactIntegers, frozen=True, kw_only=True):
    """A wallet's activity and results; amounts are in lamports.

    `invested` is the total paid in, `proceeds` the total of its sales, `open_value` the value
    of its open positions by the program's payout formula. `realised_pnl` covers the
    `settled_markets`: those that are finalized with nothing left to claim. These five fields
    are refreshed every minute.
    """

    total_trades: int
    total_volume: formats.LargeInt
    markets_traded: int
    markets_created: int
    total_votes: int
    proposal_votes: int
    dispute_votes: int
    discussions: int
    claimed: formats.LargeInt
    invested: formats.LargeInt
    proceeds: formats.LargeInt
    open_value: formats.LargeInt
    realised_pnl: formats.LargeInt
    settled_markets: int


_RESULT_FIELDS = ("invested", "proceeds", "open_value", "realised_pnl", "settled_markets")


def _result_fields(row: candles.WalletFigures | None) -> dict[str, Any]:
    return {name: getattr(row, name) if row else 0 for name in _RESULT_FIELDS}


class WalletProfile(msgspec.Struct, frozen=True):
    """A wallet's statistics."""

    wallet: str
    stats: WalletStats


class WalletTrades(msgspec.Struct, frozen=True):
    """A page of a wallet's trades. `count` is the page's, `total` that of all pages."""

    trades: list[trading.Trade]
    count: int
    total: int
    wallet: str


class WalletVotes(msgspec.Struct, frozen=True):
    """A page of a wallet's votes, by kind."""

    proposal_votes: list[voting.Vote]
    dispute_votes: list[voting.Vote]
    total: int
    wallet: str


@get("/api/users/{wallet:str}", tags=["wallets"], responses=READ_ERRORS)
async def get_user(database: DatabaseDep, wallet: WalletPath) -> WalletProfile:
    """Get a wallet's statistics; zeros for a wallet without activity."""
    key = identifiers.wallet(wallet)
    row, results = await database.read(
        lambda conn: (
            statistics.statistics_of_user(conn, key),
            candles.figures_of_wallet(conn, key),
        )
    )
    return WalletProfile(
        wallet,
        WalletStats(
            total_trades=row.total_trades,
            total_volume=row.total_volume,
            markets_traded=row.markets_traded,
            markets_created=row.markets_created,
            total_votes=row.total_votes,
            proposal_votes=row.proposal_votes,
            dispute_votes=row.dispute_votes,
            discussions=row.discussions,
            claimed=row.claimed,
            **_result_fields(results),
        ),
    )


@get(
    "/api/users/{wallet:str}/trades",
    tags=["wallets"],
    responses=READ_ERRORS,
)
async def list_user_trades(
    database: DatabaseDep, wallet: WalletPath, limit: Limit = 50, offset: Offset = 0
) -> WalletTrades:
    """List a wallet's trades, newest first."""
    key = identifiers.wallet(wallet)

    def read(conn: Connection) -> WalletTrades:
        rows = trades.find_trades(conn, user=key, limit=limit, offset=offset)
        items = [trading.trade(row) for row in rows]
        return WalletTrades(items, len(items), trades.count(conn, user=key), wallet)

    return await database.read(read)


@get(
    "/api/users/{wallet:str}/votes",
    tags=["wallets"],
    responses=READ_ERRORS,
)
async def list_user_votes(
    database: DatabaseDep,
    wallet: WalletPath,
    type_: Annotated[Literal["all", "proposal", "dispute"], QueryParameter(name="type")] = "all",
    limit: Limit = 100,
    offset: Offset = 0,
) -> WalletVotes:
    """List a wallet's votes, on chain and by ballot, newest first."""
    key = identifiers.wallet(wallet)
    kind = None if type_ == "all" else type_
    rows = await database.read(
        lambda conn: votes.votes_of_wallet(conn, key, kind=kind, limit=limit, offset=offset)
    )
    items = [voting.vote(row) for row in rows]
    return WalletVotes(
        proposal_votes=[item for item in items if item.vote_type == "proposal"],
        dispute_votes=[item for item in items if item.vote_type == "dispute"],
        total=len(items),
        wallet=wallet,
    )


@get(
    "/api/positions/{wallet:str}",
    tags=["wallets"],
    responses=READ_ERRORS,
)
async def list_positions(
    database: DatabaseDep, wallet: WalletPath, limit: Limit = 100, offset: Offset = 0
) -> list[trading.Position]:
    """List a wallet's positions with amounts as numbers, last traded first.

    The response is a bare array.
    """
    key = identifiers.wallet(wallet)
    rows = await database.read(
        lambda conn: positions.of_user(conn, key, limit=limit, offset=offset)
    )
    return [trading.position(row) for row in rows]


@get(
    "/api/users/{wallet:str}/positions",
    tags=["wallets"],
    responses=READ_ERRORS,
)
async def list_portfolio(
    database: DatabaseDep, wallet: WalletPath, limit: Limit = 100, offset: Offset = 0
) -> list[trading.PortfolioPosition]:
    """List a wallet's positions with amounts as text, as the portfolio page reads them.

    The response is a bare array.
    """
    key = identifiers.wallet(wallet)
    rows = await database.read(
        lambda conn: positions.of_user(conn, key, limit=limit, offset=offset)
    )
    return [trading.portfolio_position(row) for row in rows]


HANDLERS = [get_user, list_user_trades, list_user_votes, list_positions, list_portfolio]
