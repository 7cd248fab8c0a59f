"""Markets: the list, one of them, and what the front pages show."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import identifiers, shapes
from api.dependencies import (
    READS,
    Limit,
    Market,
    Offset,
    TheDatabase,
    failures,
)
from api.errors import invalid, not_found
from api.requests import Category
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import activity, markets, statistics

LAMPORTS = 1_000_000_000
TRENDING_POOL = 20
TOP_CATEGORIES = 6
_EMOJI = {
    "crypto": "₿",
    "sports": "⚽",
    "politics": "🏛️",
    "science": "🔬",
    "entertainment": "🎬",
    "other": "✨",
}


class MarketList(msgspec.Struct, frozen=True):
    """A page of markets; ``count`` is of all pages."""

    markets: list[shapes.Market]
    count: int
    offset: int
    limit: int


class ActivityItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the activity feed; ``user`` is shortened, ``amount`` is text with unit."""

    id: str
    type: str
    user: str
    user_wallet: str
    action: str
    market: str
    marketId: str  # noqa: N815 - the clients' name
    time: str | None
    amount: str | msgspec.UnsetType = msgspec.UNSET


class ActivityFeed(msgspec.Struct, frozen=True):
    """What happened lately, the newest first."""

    activities: list[ActivityItem]
    count: int


class TrendingMarket(msgspec.Struct, frozen=True, rename="camel"):
    """An active market by its last day; ``volume24h`` in SOL, ``change24h`` in percent."""

    id: str
    question: str
    yes_price: float
    change24h: float
    volume24h: float
    unique_traders: int
    trending_score: float


class TrendingList(msgspec.Struct, frozen=True):
    """The liveliest active markets."""

    trending: list[TrendingMarket]
    count: int


class CategoryCount(msgspec.Struct, frozen=True):
    """A category; ``trend`` compares the markets of the last day with the day before."""

    id: str
    name: str
    count: int
    emoji: str
    trend: str


class CategoryList(msgspec.Struct, frozen=True):
    """The fullest categories."""

    categories: list[CategoryCount]
    count: int


class RelatedMarket(msgspec.Struct, frozen=True, rename="camel"):
    """A market like another one."""

    id: str
    question: str
    yes_price: float
    category: str | None
    category_match: bool


class RelatedList(msgspec.Struct, frozen=True):
    """Open markets of the same category first."""

    related: list[RelatedMarket]
    count: int


class TradingFigures(msgspec.Struct, frozen=True):
    """A market's trading in lamports."""

    total_volume: int
    total_trades: int
    unique_traders: int
    buy_volume: int
    sell_volume: int
    volume_24h: int
    last_trade_at: str | None


class MarketFigures(msgspec.Struct, frozen=True):
    """A market and its figures."""

    market_id: str
    stats: TradingFigures


class PricePoint(msgspec.Struct, frozen=True):
    """Prices in percent, and the exact price of YES with 9 decimals."""

    timestamp: str | None
    yes: float
    no: float
    price_yes: int


class PriceHistory(msgspec.Struct, frozen=True):
    """The last prices, the oldest first."""

    market_id: str
    price_history: list[PricePoint]
    count: int


def existing(conn: Connection, key: bytes) -> markets.Market:
    """The market with this id or address; ApiError 404 where there is none."""
    found = markets.resolve(conn, key)
    if found is None:
        raise not_found("Market")
    return found


def id_of(conn: Connection, key: bytes) -> bytes:
    """The id of the market with this id or address; ``key`` where there is none."""
    found = markets.resolve(conn, key)
    return key if found is None else found.market_id


def state_number(text: str | None) -> int | None:
    """A state by the program's name or number; ApiError 400 naming ``state`` otherwise."""
    if text is None or text == "":
        return None
    if text.upper() in MarketState.__members__:
        return int(MarketState[text.upper()])
    if text.isascii() and text.isdigit() and len(text) == 1 and int(text) < len(MarketState):
        return int(text)
    names = ", ".join(MarketState.__members__)
    raise invalid("state", f"must be one of {names}, or 0 to {len(MarketState) - 1}")


def _now(conn: Connection) -> int:
    """The end of the last day: now, or the chain's time where that is ahead."""
    return max(int(time.time()), markets.last_chain_time(conn))


@get("/api/markets", operation_id="listMarkets", tags=["markets"], responses=READS)
async def find(
    database: TheDatabase,
    state_: Annotated[
        str | None, QueryParameter(name="state", description="Name or number of a state.")
    ] = None,
    category: Annotated[Category | None, QueryParameter()] = None,
    creator: Annotated[str | None, QueryParameter(description="A wallet.")] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> MarketList:
    """Markets that are on chain, newest first."""
    number = state_number(state_)
    wallet = identifiers.wallet(creator, "creator") if creator else None

    def read(conn: Connection) -> MarketList:
        rows = markets.find(
            conn, state=number, category=category, creator=wallet, limit=limit, offset=offset
        )
        total = markets.count(conn, state=number, category=category, creator=wallet)
        return MarketList([shapes.market(row) for row in rows], total, offset, limit)

    return await database.read(read)


@get(
    "/api/markets/{market:str}",
    operation_id="getMarket",
    tags=["markets"],
    responses=failures(400, 404),
)
async def detail(database: TheDatabase, market: Market) -> shapes.Market:
    """One market by id or address."""
    key = identifiers.market_key(market, "market")
    return await database.read(lambda conn: shapes.market(existing(conn, key)))


def _activity_item(row: activity.Activity) -> ActivityItem:
    wallet = identifiers.base58_key(row.user)
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
        marketId=row.market_id.hex(),
        time=shapes.chain_time(row.at),
        amount=msgspec.UNSET if row.amount is None else f"{row.amount / LAMPORTS:.2f} SOL",
    )


@get("/api/markets/activity", operation_id="listActivity", tags=["markets"], responses=READS)
async def feed(
    database: TheDatabase,
    limit: Limit = 20,
    type_: Annotated[
        Literal["trade", "resolution", "creation"] | None, QueryParameter(name="type")
    ] = None,
) -> ActivityFeed:
    """The latest trades, resolutions and creations."""
    rows = await database.read(lambda conn: activity.latest(conn, type_=type_, limit=limit))
    items = [_activity_item(row) for row in rows]
    return ActivityFeed(items, len(items))


def _trending(row: statistics.TrendingMarket) -> TrendingMarket:
    volume = row.volume_last_day / LAMPORTS
    change = 100 * (row.price_yes - row.price_day_ago) / row.price_day_ago
    return TrendingMarket(
        id=row.market_id.hex(),
        question=row.question,
        yes_price=shapes.fraction(row.price_yes),
        change24h=round(change, 2),
        volume24h=volume,
        unique_traders=row.unique_traders,
        trending_score=round(0.6 * volume + 0.4 * row.unique_traders, 6),
    )


@get("/api/markets/trending", operation_id="listTrending", tags=["markets"], responses=READS)
async def trending(database: TheDatabase, limit: Limit = 3) -> TrendingList:
    """Active markets by volume and traders of the last 24 hours."""
    pool = max(limit, TRENDING_POOL)
    rows = await database.read(lambda conn: statistics.trending(conn, _now(conn), limit=pool))
    items = sorted(map(_trending, rows), key=lambda item: -item.trending_score)[:limit]
    return TrendingList(items, len(items))


def _category(row: markets.Category) -> CategoryCount:
    before, last = row.created_day_before, row.created_last_day
    change = 100 * (last - before) // before if before else 100 * min(last, 1)
    return CategoryCount(
        id=row.category,
        name=row.category.capitalize(),
        count=row.markets,
        emoji=_EMOJI[row.category],
        trend=f"{change:+d}%",
    )


@get("/api/markets/categories", operation_id="listCategories", tags=["markets"], responses=READS)
async def categories(database: TheDatabase) -> CategoryList:
    """Categories with their numbers of markets."""
    rows = await database.read(lambda conn: markets.categories(conn, _now(conn)))
    items = [_category(row) for row in rows[:TOP_CATEGORIES]]
    return CategoryList(items, len(items))


@get(
    "/api/markets/{market:str}/related",
    operation_id="listRelated",
    tags=["markets"],
    responses=READS,
)
async def related(database: TheDatabase, market: Market, limit: Limit = 3) -> RelatedList:
    """Other open markets: those of the same category first, then by volume."""
    key = identifiers.market_key(market, "market")
    rows = await database.read(lambda conn: markets.related(conn, id_of(conn, key), limit=limit))
    items = [
        RelatedMarket(
            id=row.market_id.hex(),
            question=row.question,
            yes_price=shapes.fraction(row.price_yes),
            category=row.category,
            category_match=row.category_match,
        )
        for row in rows
    ]
    return RelatedList(items, len(items))


@get(
    "/api/markets/{market:str}/stats",
    operation_id="getMarketStats",
    tags=["markets"],
    responses=READS,
)
async def stats(database: TheDatabase, market: Market) -> MarketFigures:
    """Volumes and traders; zeros for a market nobody has traded in."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> MarketFigures:
        market_id = id_of(conn, key)
        row = statistics.of_market(conn, market_id, _now(conn))
        return MarketFigures(
            market_id.hex(),
            TradingFigures(
                total_volume=row.total_volume,
                total_trades=row.total_trades,
                unique_traders=row.unique_traders,
                buy_volume=row.buy_volume,
                sell_volume=row.sell_volume,
                volume_24h=row.volume_last_day,
                last_trade_at=shapes.chain_time(row.last_trade_at),
            ),
        )

    return await database.read(read)


def _point(moment: int, price_yes: int) -> PricePoint:
    yes = round(price_yes / (shapes.PRICE_SCALE // 100), 4)
    return PricePoint(shapes.chain_time(moment), yes, round(100 - yes, 4), price_yes)


@get(
    "/api/markets/{market:str}/price-history",
    operation_id="getPriceHistory",
    tags=["markets"],
    responses=failures(400, 404),
)
async def price_history(database: TheDatabase, market: Market, limit: Limit = 100) -> PriceHistory:
    """The market's price after each of its last trades, beginning at 50/50 where the page
    reaches the market's creation.
    """
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> PriceHistory:
        row = existing(conn, key)
        history = statistics.price_history(conn, row.market_id, limit=limit)
        points = [_point(item.traded_at, item.price_yes) for item in history]
        if len(points) < limit:
            points.insert(0, _point(row.created_at, shapes.PRICE_SCALE // 2))
        return PriceHistory(row.market_id.hex(), points, len(points))

    return await database.read(read)


HANDLERS = [
    find,
    detail,
    feed,
    trending,
    categories,
    related,
    stats,
    price_history,
]
