"""Trades of a market."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.dependencies import NAMED_READ_ERRORS, DatabaseDep, Limit, MarketPath, Offset
from api.markets.lookup import require_market_id
from api.markets.market_trades import TradeList, load_trades
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.store.queries import trades


@get(
    "/api/markets/{market:str}/trades",
    tags=["trades"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(
        pages.rule(lambda given: trades.order(descending=given.query.get("order") != "asc"))
    ),
)
async def list_market_trades(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: MarketPath,
    limit: Limit = 50,
    offset: Offset = 0,
    order: Annotated[Literal["asc", "desc"], QueryParameter(description="Order by time.")] = "desc",
    cursor: pages.Cursor = None,
) -> Response[TradeList]:
    """List a market's trades in the chain's order, newest first."""
    key = identifiers.market_key(market, "market")
    descending = order == "desc"
    page = pages.requested(trades.order(descending=descending), limit, offset, cursor)

    def read(conn: Connection) -> TradeList:
        market_id = require_market_id(conn, key)
        return load_trades(conn, market_id, page, descending=descending)

    body = await database.read(read)
    return pages.response(request, body, body.next)


HANDLERS = [list_market_trades]
