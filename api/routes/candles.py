"""Candles of a market."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import DatabaseDep, MarketPath, error_responses
from api.errors import invalid
from api.markets.lookup import require_market
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.statistics import candle_pages, candle_series
from zmart_pipelines.store.queries import candles
from zmart_pipelines.store.queries.keyset import KeyColumn, Order
from zmart_pipelines.store.queries.markets import Market, chain_now
from zmart_pipelines.store.tables.statistics import candles as candles_table

IntervalName: TypeAlias = Literal["1m", "5m", "15m", "1h", "4h", "1d", "1w"]
Side: TypeAlias = Literal["yes", "no"]
# Chain seconds that fit the tables' BIGINT with room for arithmetic.
_END = 2**53
# A day of minutes.
MAX_CANDLES = 1440

# Pages go backwards in time; each is itself oldest first.
_ORDERS: Final = {
    name: Order(
        f"candles-{name}",
        (KeyColumn("starts_at", candles_table.c.starts_at, descending=True),),
    )
    for name in candle_series.SCALES
}


class Candle(formats.ExactIntegers, frozen=True, kw_only=True):
    """The prices of one side and the trading in one interval.

    `time` is the start in Unix seconds of the chain, `starts_at` the same as text. Prices
    (9 decimals) are those after trades; `volume` is in lamports.
    """

    time: int
    starts_at: str | None
    open: int
    high: int
    low: int
    close: int
    volume: formats.LargeInt
    trades: int


class CandleList(msgspec.Struct, frozen=True):
    """Candles of one side, oldest first, up to the chain's time `as_of`.

    An interval without trades has no candle unless `fill` is true: its price is the close of the
    candle before. `previous_close` is the price (9 decimals) before the first candle on the page.
    `next` continues with older candles.
    """

    market_id: str
    interval: str
    side: str
    candles: list[Candle]
    count: int
    limit: int
    next: str | None
    previous_close: int
    as_of: str
    as_of_slot: int


def _candle(row: candles.Candle) -> Candle:
    return Candle(
        time=row.starts_at,
        starts_at=formats.chain_time(row.starts_at),
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
        trades=row.trades,
    )


class _Wanted(msgspec.Struct, frozen=True):
    """What a request asks for."""

    interval: IntervalName
    side: Side
    fill: bool
    page: pages.Page
    window: candle_pages.Window


def _wanted(
    interval: IntervalName,
    side: Side,
    fill: bool,
    page: pages.Page,
    from_: int | None,
    to: int | None,
) -> _Wanted:
    end = to
    if page.after is not None:
        # The key of an order of one integer column.
        (before,) = page.after
        end = min(_END if to is None else to, int(str(before)))
    return _Wanted(interval, side, fill, page, candle_pages.Window(from_, end, page.limit))


def _in_order(given: query_rules.Given) -> None:
    begins, ends = given.query.get("from"), given.query.get("to")
    if begins is not None and ends is not None and begins >= ends:
        raise invalid("from", "must be less than to")


def _read(conn: Connection, row: Market, wanted: _Wanted) -> CandleList:
    scale = candle_series.SCALES[wanted.interval]
    now = chain_now(conn)
    if wanted.fill:
        found = candle_pages.all_candles(
            conn, row.market_id, scale, wanted.window, since=row.created_at, now=now
        )
    else:
        found = candle_pages.traded_candles(conn, row.market_id, scale, wanted.window)
    page = wanted.page
    next_ = None
    if found.more:
        next_ = pages.encode_cursor(page.order, page.order.key_of(found.candles[0]))
    shown = found.candles
    previous = found.previous_close
    if wanted.side == "no":
        shown = [candle_series.mirrored(candle) for candle in shown]
        previous = formats.PRICE_SCALE - previous
    return CandleList(
        market_id=row.market_id.hex(),
        interval=wanted.interval,
        side=wanted.side,
        candles=[_candle(candle) for candle in shown],
        count=len(shown),
        limit=page.limit,
        next=next_,
        previous_close=previous,
        as_of=formats.as_of(now),
        as_of_slot=row.as_of_slot,
    )


@get(
    "/api/markets/{market:str}/candles",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=error_responses(400, 404),
    response_headers=[pages.LINK],
    opt=query_rules.stated(
        _in_order, pages.rule(lambda given: _ORDERS[given.query.get("interval", "1h")])
    ),
)
async def list_candles(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: MarketPath,
    interval: Annotated[
        IntervalName,
        QueryParameter(description="Length of a candle; weeks begin on Monday, 00:00 UTC."),
    ] = "1h",
    side: Annotated[Side, QueryParameter(description="Whose prices.")] = "yes",
    fill: Annotated[
        bool, QueryParameter(description="Also return intervals without trades, as flat candles.")
    ] = False,
    from_: Annotated[
        int | None,
        QueryParameter(
            name="from",
            ge=0,
            le=_END,
            description="Earliest start, Unix seconds.",
            schema_extra={"examples": [1_790_000_000]},
        ),
    ] = None,
    to: Annotated[
        int | None,
        QueryParameter(
            ge=0,
            le=_END,
            description="Start before this, Unix seconds.",
            schema_extra={"examples": [1_790_086_400]},
        ),
    ] = None,
    limit: Annotated[
        int, QueryParameter(ge=0, le=MAX_CANDLES, description="Maximum number of candles.")
    ] = 100,
    cursor: pages.Cursor = None,
) -> Response[CandleList]:
    """List the last candles in a time range, oldest first.

    They agree with the trades at the moment of the request.
    """
    key = identifiers.market_key(market, "market")
    page = pages.requested(_ORDERS[interval], limit, cursor=cursor)
    wanted = _wanted(interval, side, fill, page, from_, to)
    body = await database.read(lambda conn: _read(conn, require_market(conn, key), wanted))
    return pages.response(request, body, body.next)


HANDLERS = [list_candles]
