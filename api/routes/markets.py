"""Markets: the list, single markets and their statistics."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from sqlalchemy import Connection

from api import caching
from api.dependencies import (
    NAMED_READ_ERRORS,
    READ_ERRORS,
    DatabaseDep,
    KnownRequestsDep,
    Limit,
    MarketAnswersDep,
    MarketPath,
    Offset,
    PastStatesDep,
    VerificationsDep,
    error_responses,
)
from api.hot_reads.encoded_bodies import EncodedBody
from api.identity.auth import client_address
from api.markets.details import MarketDetail, market_at, verified_market
from api.markets.lookup import require_market_id
from api.markets.market_lists import MarketList
from api.markets.past_states import AT_RULE, At
from api.markets.verifications import Verify, verification_rule
from api.requests import identifiers, pages, query_rules
from api.requests import market_list_query as parameters
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.store.queries import markets, statistics


class RelatedMarket(msgspec.Struct, frozen=True, rename="camel"):
    """A market related to another. `categoryMatch` is true for the same category."""

    id: str
    question: str
    yes_price: float
    category: str | None
    category_match: bool


class RelatedList(msgspec.Struct, frozen=True):
    """Open markets, those of the same category first."""

    related: list[RelatedMarket]
    count: int


class TradingStats(formats.ExactIntegers, frozen=True, kw_only=True):
    """Trading in a market; volumes are in lamports."""

    total_volume: formats.LargeInt
    total_trades: int
    unique_traders: int
    buy_volume: formats.LargeInt
    sell_volume: formats.LargeInt
    volume_24h: formats.LargeInt
    last_trade_at: str | None


class MarketStats(msgspec.Struct, frozen=True):
    """A market's trading statistics; the 24 hours of `volume_24h` end with `as_of`."""

    market_id: str
    stats: TradingStats
    as_of: str


@get(
    "/api/markets",
    tags=["markets"],
    responses=READ_ERRORS,
    response_headers=[pages.LINK],
    opt={"bucket": "search", "bucket_parameter": "q", **query_rules.stated(parameters.rule)},
)
async def list_markets(
    request: Request[Any, Any, Any],
    known_requests: KnownRequestsDep,
    market_answers: MarketAnswersDep,
    q: parameters.Search = None,
    state_: parameters.States = None,
    category: parameters.Categories = None,
    tag: parameters.Tag = None,
    creator: parameters.Creator = None,
    resolver: parameters.Resolver = None,
    price_min: parameters.Price = None,
    price_max: parameters.Price = None,
    created_after: parameters.After = None,
    created_before: parameters.Before = None,
    ends_after: parameters.After = None,
    ends_before: parameters.Before = None,
    sort: parameters.SortBy = None,
    order: parameters.OrderBy = None,
    limit: Limit = 20,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[MarketList]:
    """List the markets that are on chain: search, filter and sort them."""
    query = parameters.list_query(
        parameters.ListParameters(
            q=q,
            state=state_,
            category=category,
            tag=tag,
            creator=creator,
            resolver=resolver,
            price_min=price_min,
            price_max=price_max,
            created_after=created_after,
            created_before=created_before,
            ends_after=ends_after,
            ends_before=ends_before,
            sort=sort,
            order=order,
            limit=limit,
            offset=offset,
            cursor=cursor,
        )
    )

    async def read() -> EncodedBody:
        return await market_answers.list(query)

    body = await read()
    known_requests.remember(request, read)
    response = _encoded(body)
    if body.next_cursor is not None:
        response.headers["Link"] = pages.link(request, body.next_cursor)
    return response


@get(
    "/api/markets/{market:str}",
    tags=["markets"],
    responses=error_responses(400, 404, 422, 429),
    opt=query_rules.stated(AT_RULE, verification_rule),
)
async def get_market(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    known_requests: KnownRequestsDep,
    market_answers: MarketAnswersDep,
    past_states: PastStatesDep,
    verifications: VerificationsDep,
    market: MarketPath,
    at: At = None,
    verify: Verify = False,
) -> Response[MarketDetail]:
    """Get a market by id or address, as it is now or as it was after a slot or at a time."""
    key = identifiers.market_key(market, "market")
    if at is not None:
        return Response(await market_at(past_states, key, at))
    if verify:
        client = client_address(request)
        return Response(await verified_market(database, verifications, key, client))

    async def read() -> EncodedBody:
        return await market_answers.one(key)

    body = await read()
    known_requests.remember(request, read)
    return _encoded(body)


def _encoded(body: EncodedBody) -> Response[Any]:
    return Response(body.content, media_type=MediaType.JSON, headers={"ETag": body.tag.decode()})


@get(
    "/api/markets/{market:str}/related",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=NAMED_READ_ERRORS,
)
async def list_related_markets(
    database: DatabaseDep, market: MarketPath, limit: Limit = 3
) -> RelatedList:
    """List other open markets: those of the same category first, then by volume."""
    key = identifiers.market_key(market, "market")
    rows = await database.read(
        lambda conn: markets.related(conn, require_market_id(conn, key), limit=limit)
    )
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
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=NAMED_READ_ERRORS,
)
async def get_market_stats(database: DatabaseDep, market: MarketPath) -> MarketStats:
    """Get a market's volumes and numbers of trades and traders; zeros where there is no trade."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> MarketStats:
        market_id = require_market_id(conn, key)
        now = markets.chain_now(conn)
        row = statistics.statistics_of_market(conn, market_id, now)
        return MarketStats(
            market_id.hex(),
            TradingStats(
                total_volume=row.total_volume,
                total_trades=row.total_trades,
                unique_traders=row.unique_traders,
                buy_volume=row.buy_volume,
                sell_volume=row.sell_volume,
                volume_24h=row.volume_24h,
                last_trade_at=formats.chain_time(row.last_trade_at),
            ),
            as_of=formats.as_of(now),
        )

    return await database.read(read)


HANDLERS = [
    list_markets,
    get_market,
    list_related_markets,
    get_market_stats,
]
