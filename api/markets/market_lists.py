"""The list of markets, as clients read it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from api.requests.market_list_query import ListParameters, list_query
from zmart_pipelines.client_schemas import markets as schemas
from zmart_pipelines.store.queries import market_search, markets


class MarketList(msgspec.Struct, frozen=True):
    """A page of markets.

    `count` is the number of markets on all pages; where `count_capped` is true there are more.
    `next` continues after the last market, null on the last page. `as_of` is present where the
    order is that of figures refreshed each minute: when they were computed.
    """

    markets: list[schemas.Market]
    count: int
    count_capped: bool
    offset: int
    limit: int
    next: str | None
    as_of: str | msgspec.UnsetType | None = msgspec.UNSET


def load_first_page(conn: Connection) -> MarketList:
    """Return the first page of the list without filters, the newest markets first.

    Requests for lists are answered by ``api.hot_reads.market_answers``; this is for readers that
    need the page in a transaction of their own.
    """
    asked = list_query(ListParameters())
    page = asked.page
    shape, values = market_search.request(
        asked.filters, asked.sort, asked.direction, limit=page.fetch
    )
    shown, next_ = page.cut(conn.execute(market_search.keys(shape), values).all())
    found = markets.by_ids(conn, [key.market_id for key in shown])
    total: int = conn.execute(market_search.total(shape.filters), values).scalar_one() or 0
    count, is_capped = market_search.capped(shape.filters, total)
    return MarketList(
        [schemas.market(found[key.market_id]) for key in shown],
        count,
        is_capped,
        page.offset,
        page.limit,
        next_,
    )
