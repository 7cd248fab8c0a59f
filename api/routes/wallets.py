"""What one wallet holds and has done."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import identifiers
from api.dependencies import READS, DatabaseDep, Limit, Offset, WalletPath
from zmart_pipelines.client_schemas import formats, trading, voting
from zmart_pipelines.store.queries import candles, positions, statistics, trades, votes


class WalletFigures(formats.ExactIntegers, frozen=True, kw_only=True):
    """What a wallet did and what came of it; amounts in lamports.

    ``invested`` is all it paid in, ``proceeds`` what sales brought, ``open_value`` what it
    still holds by the program's payout formula. ``realised_pnl`` is of settled markets, those
    that are finalized with nothing left to claim. These five are made anew each minute.
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


_RESULTS = ("invested", "proceeds", "open_value", "realised_pnl", "settled_markets")


def _results(row: candles.WalletFigures | None) -> dict[str, Any]:
    return {name: getattr(row, name) if row else 0 for name in _RESULTS}


class Profile(msgspec.Struct, frozen=True):
    """A wallet and its figures."""

    wallet: str
    stats: WalletFigures


class WalletTrades(msgspec.Struct, frozen=True):
    """A page of a wallet's trades; ``count`` is of the page, ``total`` of all pages."""

    trades: list[trading.Trade]
    count: int
    total: int
    wallet: str


class WalletVotes(msgspec.Struct, frozen=True):
    """A wallet's votes by kind."""

    proposal_votes: list[voting.Vote]
    dispute_votes: list[voting.Vote]
    total: int
    wallet: str


@get("/api/users/{wallet:str}", operation_id="getUser", tags=["wallets"], responses=READS)
async def profile(database: DatabaseDep, wallet: WalletPath) -> Profile:
    """A wallet's figures; zeros for one that did nothing yet."""
    key = identifiers.wallet(wallet)
    row, results = await database.read(
        lambda conn: (statistics.of_user(conn, key), candles.of_wallet(conn, key))
    )
    return Profile(
        wallet,
        WalletFigures(
            total_trades=row.total_trades,
            total_volume=row.total_volume,
            markets_traded=row.markets_traded,
            markets_created=row.markets_created,
            total_votes=row.total_votes,
            proposal_votes=row.proposal_votes,
            dispute_votes=row.dispute_votes,
            discussions=row.discussions,
            claimed=row.claimed,
            **_results(results),
        ),
    )


@get(
    "/api/users/{wallet:str}/trades",
    operation_id="listUserTrades",
    tags=["wallets"],
    responses=READS,
)
async def wallet_trades(
    database: DatabaseDep, wallet: WalletPath, limit: Limit = 50, offset: Offset = 0
) -> WalletTrades:
    """A wallet's trades, the newest first."""
    key = identifiers.wallet(wallet)

    def read(conn: Connection) -> WalletTrades:
        rows = trades.find(conn, user=key, limit=limit, offset=offset)
        items = [trading.trade(row) for row in rows]
        return WalletTrades(items, len(items), trades.count(conn, user=key), wallet)

    return await database.read(read)


@get(
    "/api/users/{wallet:str}/votes",
    operation_id="listUserVotes",
    tags=["wallets"],
    responses=READS,
)
async def wallet_votes(
    database: DatabaseDep,
    wallet: WalletPath,
    type_: Annotated[Literal["all", "proposal", "dispute"], QueryParameter(name="type")] = "all",
    limit: Limit = 100,
    offset: Offset = 0,
) -> WalletVotes:
    """A wallet's votes, on chain and by ballot, the newest first."""
    key = identifiers.wallet(wallet)
    kind = None if type_ == "all" else type_
    rows = await database.read(
        lambda conn: votes.of_wallet(conn, key, kind=kind, limit=limit, offset=offset)
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
    operation_id="listPositions",
    tags=["wallets"],
    responses=READS,
)
async def wallet_positions(
    database: DatabaseDep, wallet: WalletPath, limit: Limit = 100, offset: Offset = 0
) -> list[trading.Position]:
    """A wallet's positions with numbers, the last traded first; a bare list."""
    key = identifiers.wallet(wallet)
    rows = await database.read(
        lambda conn: positions.of_user(conn, key, limit=limit, offset=offset)
    )
    return [trading.position(row) for row in rows]


@get(
    "/api/users/{wallet:str}/positions",
    operation_id="listHoldings",
    tags=["wallets"],
    responses=READS,
)
async def holdings(
    database: DatabaseDep, wallet: WalletPath, limit: Limit = 100, offset: Offset = 0
) -> list[trading.PortfolioPosition]:
    """A wallet's positions as the portfolio page reads them: amounts are text; a bare list."""
    key = identifiers.wallet(wallet)
    rows = await database.read(
        lambda conn: positions.of_user(conn, key, limit=limit, offset=offset)
    )
    return [trading.portfolio_position(row) for row in rows]


HANDLERS = [profile, wallet_trades, wallet_votes, wallet_positions, holdings]
