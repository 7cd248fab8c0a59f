"""The depth of a market, as an order book of its market maker."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import DatabaseDep, MarketPath, error_responses
from api.markets.lookup import require_market
from api.markets.terms import market_terms
from api.markets.trade_quotes import RefusedTrade, refused_trade
from api.requests import identifiers
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.program import depth, quotes
from zmart_pipelines.program.lifecycle import BASIS_POINTS
from zmart_pipelines.program.lmsr import LmsrError
from zmart_pipelines.store.queries.markets import Market, chain_now

MAX_LEVELS = 50


class DepthLevel(formats.ExactIntegers, frozen=True, kw_only=True):
    """One level of a ladder.

    `price` (9 decimals) is a multiple of the step, `size` the shares between the level before
    and this one. The others are counted from the current price: `shares` that move it to this
    level, `amount` in lamports before fees, `fees`, and `total`, which a buyer pays or a seller
    would get. `average_price` is `total` per share, `price_after` the price after these shares.
    """

    price: int
    size: formats.LargeInt
    shares: formats.LargeInt
    amount: formats.LargeInt
    fees: formats.LargeInt
    total: formats.LargeInt
    average_price: formats.LargeInt
    price_after: int


class SideDepth(msgspec.Struct, frozen=True):
    """The ladder of one side; the levels nearest to `price` first.

    `asks` are what the market maker sells above the price, `bids` what it would buy below it.
    """

    price: int | None
    asks: list[DepthLevel]
    bids: list[DepthLevel]


class MarketDepth(msgspec.Struct, frozen=True):
    """The depth of both sides. `step` is the distance of two levels (9 decimals).

    `refused_buys` and `refused_sales` say why the asks or the bids cannot be traded with now;
    null where they can.
    """

    market_id: str
    state: str
    step: int
    yes: SideDepth
    no: SideDepth
    refused_buys: RefusedTrade | None
    refused_sales: RefusedTrade | None
    as_of: str
    as_of_slot: int
    commitment: str


def _level(level: depth.Level) -> DepthLevel:
    return DepthLevel(
        price=level.price,
        size=level.size,
        shares=level.shares,
        amount=level.amount,
        fees=level.fees.total,
        total=level.total,
        average_price=level.total * formats.PRICE_SCALE // level.shares,
        price_after=level.price_after,
    )


def _side(terms: quotes.Terms, outcome: bool, step: int, levels: int) -> SideDepth:
    try:
        found = depth.ladder(terms.pool, outcome, terms.fees, step=step, levels=levels)
        price = quotes.price_of(terms.pool, outcome)
    except LmsrError:
        return SideDepth(None, [], [])
    return SideDepth(
        price, [_level(one) for one in found.asks], [_level(one) for one in found.bids]
    )


def _refusal(terms: quotes.Terms) -> quotes.Refusal | None:
    """Return the refusal that every trade would meet; None if some trade is possible."""
    standing = quotes.standing_refusal(terms)
    if standing is not None:
        return standing
    try:
        quotes.price_of(terms.pool, True)
    except LmsrError as error:
        return quotes.refusal_of(error.code)
    return None


def _market_depth(conn: Connection, row: Market, step: int, levels: int) -> MarketDepth:
    terms = market_terms(conn, row)
    refusal = _refusal(terms)
    return MarketDepth(
        market_id=row.market_id.hex(),
        state=terms.state.name,
        step=step,
        yes=_side(terms, True, step, levels),
        no=_side(terms, False, step, levels),
        refused_buys=None if refusal is None else refused_trade(refusal),
        refused_sales=refused_trade(refusal or quotes.Refusal(quotes.Cause.SALES_FAIL)),
        as_of=formats.as_of(chain_now(conn)),
        as_of_slot=row.as_of_slot,
        commitment=row.commitment,
    )


@get(
    "/api/markets/{market:str}/depth",
    cache_control=caching.A_SECOND,
    tags=["trades"],
    responses=error_responses(400, 404),
)
async def get_market_depth(
    database: DatabaseDep,
    market: MarketPath,
    levels: Annotated[
        int, QueryParameter(ge=1, le=MAX_LEVELS, description="Most levels above and below.")
    ] = 10,
    step_bps: Annotated[
        int,
        QueryParameter(
            ge=1, le=2_500, description="Distance of two levels in basis points of one share."
        ),
    ] = 100,
) -> MarketDepth:
    """Get the market maker's depth on both sides, cut into levels like an order book."""
    key = identifiers.market_key(market, "market")
    step = step_bps * (formats.PRICE_SCALE // BASIS_POINTS)
    return await database.read(
        lambda conn: _market_depth(conn, require_market(conn, key), step, levels)
    )


HANDLERS = [get_market_depth]
