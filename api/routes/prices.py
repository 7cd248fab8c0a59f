"""A market's current prices, its last day, and the price after each trade."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from sqlalchemy import Connection

from api import caching
from api.dependencies import DatabaseDep, Limit, MarketPath, error_responses
from api.markets.lookup import require_market
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas import formats, trading
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.lifecycle import BASIS_POINTS
from zmart_pipelines.store.queries import newest_trades, statistics, trades
from zmart_pipelines.store.queries.markets import Market, chain_now

_HALF: Final = formats.PRICE_SCALE // 2


class SidePrices(msgspec.Struct, frozen=True):
    """The price of one side now and in the last 24 hours; 9 decimals.

    `change_24h` is the price less `price_24h_ago`, `change_24h_bps` that in basis points of
    `price_24h_ago`, rounded down (null where that was 0). `high_24h` and `low_24h` include the
    price at which the 24 hours began. `display` is the price between 0 and 1.
    """

    price: int
    display: float
    price_24h_ago: int
    change_24h: int
    change_24h_bps: int | None
    high_24h: int
    low_24h: int


class MarketPrices(formats.ExactIntegers, frozen=True, kw_only=True):
    """The prices of both sides; they add up to 1.

    The 24 hours end with `as_of`, in chain time. `volume_24h` is in lamports.
    """

    market_id: str
    state: str
    yes: SidePrices
    no: SidePrices
    volume_24h: formats.LargeInt
    trades_24h: int
    last_trade: trading.Trade | None
    as_of: str
    as_of_slot: int
    commitment: str


class PricePoint(msgspec.Struct, frozen=True):
    """The price after a trade. `yes` and `no` are in percent; the others have 9 decimals."""

    timestamp: str | None
    yes: float
    no: float
    price_yes: int
    price_no: int


class PriceHistory(msgspec.Struct, frozen=True):
    """The last prices, oldest first. `next` continues with older ones."""

    market_id: str
    price_history: list[PricePoint]
    count: int
    limit: int
    next: str | None
    as_of: str
    as_of_slot: int


def _side(price: int, day_ago: int, high: int, low: int) -> SidePrices:
    change = price - day_ago
    return SidePrices(
        price=price,
        display=formats.price_fraction(price),
        price_24h_ago=day_ago,
        change_24h=change,
        change_24h_bps=change * BASIS_POINTS // day_ago if day_ago else None,
        high_24h=high,
        low_24h=low,
    )


def _market_prices(conn: Connection, row: Market) -> MarketPrices:
    now = chain_now(conn)
    start = now - statistics.DAY + 1
    day_ago = newest_trades.price_before(conn, row.market_id, start)
    day = newest_trades.trading_since(conn, row.market_id, start)
    price = row.price_yes
    high = max(day_ago, price, day_ago if day.high is None else day.high)
    low = min(day_ago, price, day_ago if day.low is None else day.low)
    rest = formats.PRICE_SCALE
    last = trades.find_trades(conn, market_id=row.market_id, limit=1)
    return MarketPrices(
        market_id=row.market_id.hex(),
        state=MarketState(row.state).name,
        yes=_side(price, day_ago, high, low),
        no=_side(rest - price, rest - day_ago, rest - low, rest - high),
        volume_24h=day.volume,
        trades_24h=day.trades,
        last_trade=trading.trade(last[0]) if last else None,
        as_of=formats.as_of(now),
        as_of_slot=row.as_of_slot,
        commitment=row.commitment,
    )


@get(
    "/api/markets/{market:str}/prices",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=error_responses(400, 404),
)
async def get_market_prices(database: DatabaseDep, market: MarketPath) -> MarketPrices:
    """Get the current price of both sides and how it moved in the last 24 hours of chain time."""
    key = identifiers.market_key(market, "market")
    return await database.read(lambda conn: _market_prices(conn, require_market(conn, key)))


def _price_point(moment: int, price_yes: int) -> PricePoint:
    yes = round(price_yes / (formats.PRICE_SCALE // 100), 4)
    price_no = formats.PRICE_SCALE - price_yes
    return PricePoint(formats.chain_time(moment), yes, round(100 - yes, 4), price_yes, price_no)


def _price_history(conn: Connection, row: Market, page: pages.Page) -> PriceHistory:
    history = statistics.price_history(conn, row.market_id, after=page.after, limit=page.limit)
    points = [_price_point(item.traded_at, item.price_yes) for item in history]
    next_ = None
    if len(points) < page.limit:
        points.insert(0, _price_point(row.created_at, _HALF))
    elif history:
        # The point of the creation follows, also where there is no older trade.
        next_ = pages.encode_cursor(page.order, page.order.key_of(history[0]))
    return PriceHistory(
        market_id=row.market_id.hex(),
        price_history=points,
        count=len(points),
        limit=page.limit,
        next=next_,
        as_of=formats.as_of(chain_now(conn)),
        as_of_slot=row.as_of_slot,
    )


@get(
    "/api/markets/{market:str}/price-history",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=error_responses(400, 404),
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(statistics.PRICE_HISTORY)),
)
async def get_price_history(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: MarketPath,
    limit: Limit = 100,
    cursor: pages.Cursor = None,
) -> Response[PriceHistory]:
    """List a market's price after each of its last trades, oldest first.

    The first point is 50/50 at the market's creation if the list reaches back to it.
    """
    key = identifiers.market_key(market, "market")
    page = pages.requested(statistics.PRICE_HISTORY, limit, cursor=cursor)
    body = await database.read(lambda conn: _price_history(conn, require_market(conn, key), page))
    return pages.response(request, body, body.next)


HANDLERS = [get_market_prices, get_price_history]
