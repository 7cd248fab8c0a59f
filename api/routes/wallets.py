"""Wallets: statistics, trades and votes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import identifiers
from api.dependencies import (
    NAMED_READ_ERRORS,
    DatabaseDep,
    Limit,
    Offset,
    WalletPath,
    error_responses,
)
from zmart_pipelines.client_schemas import formats, trading, voting
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.store.queries import markets, statistics, trades, votes


class WalletStats(formats.ExactIntegers, frozen=True, kw_only=True):
    """A wallet's activity and results; amounts are in lamports.

    `invested` is the total paid in, `proceeds` the total of its sales, `claimed` that of its
    payouts. `open_value` is the value of what it still holds by the program's payout formula,
    `open_cost` the average cost of that, `unrealised_pnl` their difference. `realised_pnl` is what
    sales, claims and settlements brought above their cost. So
    `realised_pnl + unrealised_pnl = proceeds + claimed + open_value - invested`, exactly.
    `settled_markets` are those that are finalized with nothing left to claim.
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
    open_cost: formats.LargeInt
    realised_pnl: formats.LargeInt
    unrealised_pnl: formats.LargeInt
    settled_markets: int


_RESULT_FIELDS = (
    "invested",
    "proceeds",
    "claimed",
    "open_value",
    "open_cost",
    "realised_pnl",
    "settled_markets",
)


class WalletProfile(msgspec.Struct, frozen=True):
    """A wallet's statistics. `as_of` is the chain's time at which they are those of its rows."""

    wallet: str
    stats: WalletStats
    as_of: str


class FlatWalletStats(WalletStats, frozen=True, kw_only=True):
    """A wallet's statistics, without a member around them."""

    wallet: str
    as_of: str


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


def _statistics(conn: Connection, key: bytes) -> tuple[dict[str, Any], str]:
    """Return the values of ``WalletStats``, and when they were read."""
    row = statistics.statistics_of_user(conn, key)
    results = wallet_reads.figures(conn, key)
    values = {name: getattr(row, name) for name in statistics.UserStats.__struct_fields__}
    values |= {name: getattr(results, name) for name in _RESULT_FIELDS}
    return {
        **values,
        "total_votes": row.total_votes,
        "unrealised_pnl": results.open_value - results.open_cost,
    }, formats.iso8601(formats.clamped_chain_time(markets.chain_now(conn)))


@get("/api/users/{wallet:str}", tags=["wallets"], responses=error_responses(400, 404))
async def get_user(database: DatabaseDep, wallet: WalletPath) -> WalletProfile:
    """Get a wallet's statistics; zeros for a wallet without activity."""
    key = identifiers.wallet(wallet)
    values, as_of = await database.read(lambda conn: _statistics(conn, key))
    return WalletProfile(wallet, WalletStats(**values), as_of)


@get("/api/users/{wallet:str}/stats", tags=["wallets"], responses=error_responses(400, 404))
async def get_user_stats(database: DatabaseDep, wallet: WalletPath) -> FlatWalletStats:
    """Get a wallet's statistics as one flat object; zeros for a wallet without activity."""
    key = identifiers.wallet(wallet)
    values, as_of = await database.read(lambda conn: _statistics(conn, key))
    return FlatWalletStats(**values, wallet=wallet, as_of=as_of)


@get(
    "/api/users/{wallet:str}/trades",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
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
    responses=NAMED_READ_ERRORS,
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


HANDLERS = [get_user, get_user_stats, list_user_trades, list_user_votes]
