"""Discovery pages: activity, trending markets, categories."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import NAMED_READ_ERRORS, READ_ERRORS, DatabaseDep, Limit
from api.markets.lookup import require_market_id
from api.requests import identifiers, pages, query_rules
from api.requests.bodies import Category
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.store.queries import activity, markets, statistics

LAMPORTS = 1_000_000_000
_EMOJI = {
    "crypto": "₿",
    "sports": "⚽",
    "politics": "🏛️",
    "science": "🔬",
    "entertainment": "🎬",
    "other": "✨",
}


class ActivityItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of the activity feed. `user` is abbreviated; `amount` is text with its unit."""

    id: str
    type: str
    user: str
    user_wallet: str
    action: str
    market: str
    market_id: str = msgspec.field(name="marketId")
    time: str | None
    amount: str | msgspec.UnsetType = msgspec.UNSET


class ActivityFeed(msgspec.Struct, frozen=True):
    """Recent activity, newest first. `count` is the page's."""

    activities: list[ActivityItem]
    count: int
    limit: int
    next: str | None


class TrendingMarket(msgspec.Struct, frozen=True, rename="camel"):
    """An active market in the last 24 hours. `volume24h` is in SOL, `change24h` in percent."""

    id: str
    question: str
    yes_price: float
    change24h: float
    volume24h: float
    unique_traders: int
    trending_score: float


class TrendingList(msgspec.Struct, frozen=True):
    """Active markets, highest `trendingScore` first. The 24 hours end at `as_of`."""

    trending: list[TrendingMarket]
    count: int
    as_of: str | None


class CategoryCount(formats.ExactIntegers, frozen=True, kw_only=True):
    """A category. The trends compare the last day with the day before.

    `trend` is that of the markets created, `volume_trend` that of the volume; volumes are in
    lamports.
    """

    id: str
    name: str
    count: int
    emoji: str
    trend: str
    open: int
    created_24h: int
    volume_24h: formats.LargeInt
    volume_trend: str


class CategoryList(msgspec.Struct, frozen=True):
    """Categories, the one with most markets first. The last day ends at `as_of`."""

    categories: list[CategoryCount]
    count: int
    as_of: str | None


def _activity_item(row: activity.Activity) -> ActivityItem:
    wallet = formats.base58_key(row.user)
    side = "YES" if row.outcome else "NO"
    if row.type == "trade":
        verb = "bought" if row.trade_type == "buy" else "sold"
        action = f"{verb} {side}"
    elif row.type == "resolution":
        action = f"proposed {side}"
    else:
        action = "created"
    return ActivityItem(
        id=f"{row.type}:{row.id}",
        type=row.type,
        user=f"{wallet[:6]}...{wallet[-4:]}",
        user_wallet=wallet,
        action=action,
        market=row.question,
        market_id=row.market_id.hex(),
        time=formats.chain_time(row.at),
        amount=msgspec.UNSET if row.amount is None else f"{row.amount / LAMPORTS:.2f} SOL",
    )


@get(
    "/api/markets/activity",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(
        query_rules.parsed(identifiers.market_key, "market", may_be_empty=True),
        query_rules.parsed(identifiers.wallet, "wallet", may_be_empty=True),
        pages.rule(activity.ORDER),
    ),
)
async def list_activity(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    limit: Limit = 20,
    cursor: pages.Cursor = None,
    type_: Annotated[
        Literal["trade", "resolution", "creation"] | None, QueryParameter(name="type")
    ] = None,
    market: Annotated[
        str | None, QueryParameter(description="Id or address of the market.")
    ] = None,
    wallet: Annotated[
        str | None,
        QueryParameter(description="Wallet that traded, created or proposed the outcome."),
    ] = None,
    category: Annotated[Category | None, QueryParameter()] = None,
) -> Response[ActivityFeed]:
    """List the latest trades, resolutions and creations of markets."""
    key = identifiers.market_key(market, "market") if market else None
    user = identifiers.wallet(wallet, "wallet") if wallet else None

    page = pages.requested(activity.ORDER, limit, cursor=cursor)

    def read(conn: Connection) -> list[activity.Activity]:
        market_id = None if key is None else require_market_id(conn, key)
        only = activity.Restriction(market_id, user, category)
        return activity.latest_activity(
            conn, type_=type_, only=only, after=page.after, limit=page.fetch
        )

    shown, next_ = page.cut(await database.read(read))
    items = [_activity_item(row) for row in shown]
    return pages.response(request, ActivityFeed(items, len(items), limit, next_), next_)


def _trending_market(row: statistics.TrendingMarket) -> TrendingMarket:
    volume = row.volume_24h / LAMPORTS
    before = row.price_24h_ago
    change = 100 * (row.price_yes - before) / before if before else 0.0
    return TrendingMarket(
        id=row.market_id.hex(),
        question=row.question,
        yes_price=formats.price_fraction(row.price_yes),
        change24h=round(change, 2),
        volume24h=volume,
        unique_traders=row.unique_traders,
        trending_score=round(0.6 * volume + 0.4 * row.unique_traders, 6),
    )


@get(
    "/api/markets/trending", cache_control=caching.A_SECOND, tags=["markets"], responses=READ_ERRORS
)
async def list_trending_markets(database: DatabaseDep, limit: Limit = 3) -> TrendingList:
    """List active markets by volume and traders of the last 24 hours."""

    def read(conn: Connection) -> TrendingList:
        now = markets.chain_now(conn)
        items = [_trending_market(row) for row in statistics.trending(conn, now, limit=limit)]
        return TrendingList(items, len(items), formats.chain_time(now))

    return await database.read(read)


def _category(row: markets.Category) -> CategoryCount:
    return CategoryCount(
        id=row.category,
        name=row.category.capitalize(),
        count=row.markets,
        emoji=_EMOJI[row.category],
        trend=_trend(row.created_day_before, row.created_last_day),
        open=row.open_markets,
        created_24h=row.created_last_day,
        volume_24h=row.volume_last_day,
        volume_trend=_trend(row.volume_day_before, row.volume_last_day),
    )


def _trend(before: int, last: int) -> str:
    """Return the change in whole percent; +100 % where there was nothing before."""
    change = 100 * (last - before) // before if before else 100 * min(last, 1)
    return f"{change:+d}%"


@get(
    "/api/markets/categories",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=READ_ERRORS,
)
async def list_categories(database: DatabaseDep) -> CategoryList:
    """List categories with their number of markets."""

    def read(conn: Connection) -> CategoryList:
        now = markets.chain_now(conn)
        items = [_category(row) for row in markets.categories(conn, now)]
        return CategoryList(items, len(items), formats.chain_time(now))

    return await database.read(read)


HANDLERS = [list_activity, list_trending_markets, list_categories]
