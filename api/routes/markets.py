"""Markets: the list, one of them, its figures and prices."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import identifiers
from api.dependencies import (
    READS,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    failures,
)
from api.errors import invalid, not_found
from api.request_bodies import Category
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.client_schemas import markets as market_schemas
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import markets, statistics


class MarketList(msgspec.Struct, frozen=True):
    """A page of markets; ``count`` is of all pages."""

    markets: list[market_schemas.Market]
    count: int
    offset: int
    limit: int


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


class TradingFigures(formats.ExactIntegers, frozen=True, kw_only=True):
    """A market's trading in lamports."""

    total_volume: formats.LargeInt
    total_trades: int
    unique_traders: int
    buy_volume: formats.LargeInt
    sell_volume: formats.LargeInt
    volume_24h: formats.LargeInt
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


@get("/api/markets", operation_id="listMarkets", tags=["markets"], responses=READS)
async def find(
    database: DatabaseDep,
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
        return MarketList([market_schemas.market(row) for row in rows], total, offset, limit)

    return await database.read(read)


@get(
    "/api/markets/{market:str}",
    operation_id="getMarket",
    tags=["markets"],
    responses=failures(400, 404),
)
async def detail(database: DatabaseDep, market: MarketPath) -> market_schemas.Market:
    """One market by id or address."""
    key = identifiers.market_key(market, "market")
    return await database.read(lambda conn: market_schemas.market(existing(conn, key)))


@get(
    "/api/markets/{market:str}/related",
    operation_id="listRelated",
    tags=["markets"],
    responses=READS,
)
async def related(database: DatabaseDep, market: MarketPath, limit: Limit = 3) -> RelatedList:
    """Other open markets: those of the same category first, then by volume."""
    key = identifiers.market_key(market, "market")
    rows = await database.read(lambda conn: markets.related(conn, id_of(conn, key), limit=limit))
    items = [
        RelatedMarket(
            id=row.market_id.hex(),
            question=row.question,
            yes_price=formats.price_fraction(row.price_yes),
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
async def stats(database: DatabaseDep, market: MarketPath) -> MarketFigures:
    """Volumes and traders; zeros for a market nobody has traded in."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> MarketFigures:
        market_id = id_of(conn, key)
        row = statistics.of_market(conn, market_id, markets.chain_now(conn))
        return MarketFigures(
            market_id.hex(),
            TradingFigures(
                total_volume=row.total_volume,
                total_trades=row.total_trades,
                unique_traders=row.unique_traders,
                buy_volume=row.buy_volume,
                sell_volume=row.sell_volume,
                volume_24h=row.volume_24h,
                last_trade_at=formats.chain_time(row.last_trade_at),
            ),
        )

    return await database.read(read)


def _point(moment: int, price_yes: int) -> PricePoint:
    yes = round(price_yes / (formats.PRICE_SCALE // 100), 4)
    return PricePoint(formats.chain_time(moment), yes, round(100 - yes, 4), price_yes)


@get(
    "/api/markets/{market:str}/price-history",
    operation_id="getPriceHistory",
    tags=["markets"],
    responses=failures(400, 404),
)
async def price_history(
    database: DatabaseDep, market: MarketPath, limit: Limit = 100
) -> PriceHistory:
    """The market's price after each of its last trades, beginning at 50/50 where the page
    reaches the market's creation.
    """
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> PriceHistory:
        row = existing(conn, key)
        history = statistics.price_history(conn, row.market_id, limit=limit)
        points = [_point(item.traded_at, item.price_yes) for item in history]
        if len(points) < limit:
            points.insert(0, _point(row.created_at, formats.PRICE_SCALE // 2))
        return PriceHistory(row.market_id.hex(), points, len(points))

    return await database.read(read)


HANDLERS = [
    find,
    detail,
    related,
    stats,
    price_history,
]
