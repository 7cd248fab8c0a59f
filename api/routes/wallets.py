"""Wallets: statistics, trades, votes, markets and comments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import NAMED_READ_ERRORS, DatabaseDep, Limit, Offset, WalletPath
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas import community, formats, trading, voting
from zmart_pipelines.client_schemas import markets as market_schemas
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.store.queries import (
    discussions,
    markets,
    statistics,
    trades,
    users,
    wallet_activity,
)


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
    """A wallet's profile and statistics.

    `as_of` is the chain's time at which the statistics are those of its rows.
    """

    wallet: str
    profile: community.Profile
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
    limit: int
    offset: int
    next: str | None


class WalletVotes(msgspec.Struct, frozen=True):
    """A page of a wallet's votes, by kind. `count` is the page's, `total` that of all pages."""

    proposal_votes: list[voting.Vote]
    dispute_votes: list[voting.Vote]
    count: int
    total: int
    wallet: str
    limit: int
    offset: int
    next: str | None


class WalletMarkets(msgspec.Struct, frozen=True):
    """A page of the markets in which a wallet has a role. `count` is that of all pages."""

    markets: list[market_schemas.Market]
    count: int
    wallet: str
    limit: int
    offset: int
    next: str | None


class WalletComments(msgspec.Struct, frozen=True):
    """A page of a wallet's comments. `count` is the page's, `total` that of all pages."""

    discussions: list[community.Comment]
    count: int
    total: int
    wallet: str
    limit: int
    offset: int
    next: str | None


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
    }, formats.as_of(markets.chain_now(conn))


@get(
    "/api/users/{wallet:str}",
    cache_control=caching.A_SECOND,
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
)
async def get_user(database: DatabaseDep, wallet: WalletPath) -> WalletProfile:
    """Get a wallet's profile and statistics; zeros for a wallet without activity."""
    key = identifiers.wallet(wallet)

    def read(conn: Connection) -> WalletProfile:
        values, as_of = _statistics(conn, key)
        profile = community.profile(key, users.find_profile(conn, key))
        return WalletProfile(wallet, profile, WalletStats(**values), as_of)

    return await database.read(read)


@get(
    "/api/users/{wallet:str}/stats",
    cache_control=caching.A_SECOND,
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
)
async def get_user_stats(database: DatabaseDep, wallet: WalletPath) -> FlatWalletStats:
    """Get a wallet's statistics as one flat object; zeros for a wallet without activity."""
    key = identifiers.wallet(wallet)
    values, as_of = await database.read(lambda conn: _statistics(conn, key))
    return FlatWalletStats(**values, wallet=wallet, as_of=as_of)


@get(
    "/api/users/{wallet:str}/trades",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(wallet_activity.TRADES)),
)
async def list_user_trades(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    wallet: WalletPath,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[WalletTrades]:
    """List a wallet's trades, newest first."""
    key = identifiers.wallet(wallet)
    page = pages.requested(wallet_activity.TRADES, limit, offset, cursor)

    def read(conn: Connection) -> WalletTrades:
        rows = wallet_activity.trades_of_wallet(
            conn, key, after=page.after, limit=page.fetch, offset=offset
        )
        shown, following = page.cut(rows)
        total = trades.count(conn, user=key)
        items = [trading.trade(row) for row in shown]
        return WalletTrades(items, len(items), total, wallet, limit, offset, following)

    body = await database.read(read)
    return pages.response(request, body, body.next)


@get(
    "/api/users/{wallet:str}/votes",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(wallet_activity.VOTES)),
)
async def list_user_votes(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    wallet: WalletPath,
    type_: Annotated[
        Literal["all", "proposal", "dispute"],
        QueryParameter(name="type", description="The kind of votes."),
    ] = "all",
    limit: Limit = 100,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[WalletVotes]:
    """List a wallet's votes, on chain and by ballot, newest first.

    Ballots are public from when they are cast: whoever counts a market's ballots sees them too.
    """
    key = identifiers.wallet(wallet)
    kind = None if type_ == "all" else type_
    page = pages.requested(wallet_activity.VOTES, limit, offset, cursor)

    def read(conn: Connection) -> WalletVotes:
        rows = wallet_activity.votes_of_wallet(
            conn, key, kind=kind, after=page.after, limit=page.fetch, offset=offset
        )
        shown, following = page.cut(rows)
        items = [voting.vote(row) for row in shown]
        return WalletVotes(
            proposal_votes=[item for item in items if item.vote_type == "proposal"],
            dispute_votes=[item for item in items if item.vote_type == "dispute"],
            count=len(items),
            total=wallet_activity.count_votes(conn, key, kind=kind),
            wallet=wallet,
            limit=limit,
            offset=offset,
            next=following,
        )

    body = await database.read(read)
    return pages.response(request, body, body.next)


@get(
    "/api/users/{wallet:str}/markets",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(markets.NEWEST)),
)
async def list_user_markets(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    wallet: WalletPath,
    role: Annotated[
        markets.Role,
        QueryParameter(description="The wallet created, resolved or disputed the market."),
    ] = "creator",
    limit: Limit = 20,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[WalletMarkets]:
    """List the markets that a wallet created, resolved or disputed, newest first.

    The resolver and the initiator of a dispute are those of its last resolution and dispute.
    """
    key = identifiers.wallet(wallet)
    page = pages.requested(markets.NEWEST, limit, offset, cursor)

    def read(conn: Connection) -> WalletMarkets:
        rows = markets.markets_of_wallet(
            conn, key, role, after=page.after, limit=page.fetch, offset=offset
        )
        shown, following = page.cut(rows)
        return WalletMarkets(
            [market_schemas.market(row) for row in shown],
            markets.count_of_wallet(conn, key, role),
            wallet,
            limit,
            offset,
            following,
        )

    body = await database.read(read)
    return pages.response(request, body, body.next)


@get(
    "/api/users/{wallet:str}/discussions",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(discussions.OF_WALLET)),
)
async def list_user_discussions(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    wallet: WalletPath,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[WalletComments]:
    """List a wallet's comments, threads and replies, newest first."""
    key = identifiers.wallet(wallet)
    page = pages.requested(discussions.OF_WALLET, limit, offset, cursor)

    def read(conn: Connection) -> WalletComments:
        rows = discussions.comments_of_wallet(
            conn, key, after=page.after, limit=page.fetch, offset=offset
        )
        shown, following = page.cut(rows)
        items = [community.comment(row) for row in shown]
        total = discussions.count_of_wallet(conn, key)
        return WalletComments(items, len(items), total, wallet, limit, offset, following)

    body = await database.read(read)
    return pages.response(request, body, body.next)


HANDLERS = [
    get_user,
    get_user_stats,
    list_user_trades,
    list_user_votes,
    list_user_markets,
    list_user_discussions,
]
