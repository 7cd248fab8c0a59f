"""Candles of a market."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import identifiers
from api.dependencies import DatabaseDep, MarketPath, error_responses
from api.errors import invalid
from api.market_lookup import require_market
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.store.queries import candles

Interval = Literal["1m", "5m", "1h", "1d"]
# Chain seconds that fit the tables' BIGINT with room for arithmetic.
_END = 2**53
# A day of minutes.
MAX_CANDLES = 1440


class Candle(formats.ExactIntegers, frozen=True, kw_only=True):
    """The prices of YES and the trading in one interval.

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
    """Candles, oldest first.

    An interval without trades has no candle: its price is the close of the candle before.
    `previous_close` is the price (9 decimals) before the first candle on the page.
    """

    market_id: str
    interval: str
    candles: list[Candle]
    count: int
    limit: int
    previous_close: int


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


@get(
    "/api/markets/{market:str}/candles",
    tags=["markets"],
    responses=error_responses(400, 404),
)
async def list_candles(
    database: DatabaseDep,
    market: MarketPath,
    interval: Annotated[Interval, QueryParameter(description="Length of a candle.")] = "1h",
    from_: Annotated[
        int | None,
        QueryParameter(name="from", ge=0, le=_END, description="Earliest start, Unix seconds."),
    ] = None,
    to: Annotated[
        int | None,
        QueryParameter(ge=0, le=_END, description="Start before this, Unix seconds."),
    ] = None,
    limit: Annotated[
        int, QueryParameter(ge=0, le=MAX_CANDLES, description="Maximum number of candles.")
    ] = 100,
) -> CandleList:
    """List the last candles in a time range, oldest first. Candles are refreshed every minute."""
    key = identifiers.market_key(market, "market")
    if from_ is not None and to is not None and from_ >= to:
        raise invalid("from", "must be less than to")

    def read(conn: Connection) -> CandleList:
        market_id = require_market(conn, key).market_id
        rows = candles.candles_of_market(
            conn, market_id, interval, start=from_, end=to, limit=limit
        )
        start = rows[0].starts_at if rows else from_ if from_ is not None else to
        before = candles.candles_of_market(conn, market_id, interval, end=start, limit=1)
        return CandleList(
            market_id=market_id.hex(),
            interval=interval,
            candles=[_candle(row) for row in rows],
            count=len(rows),
            limit=limit,
            previous_close=before[0].close if before else formats.PRICE_SCALE // 2,
        )

    return await database.read(read)


HANDLERS = [list_candles]
