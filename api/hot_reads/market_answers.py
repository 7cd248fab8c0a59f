"""The answers of the hot reads of markets: a page of the list, and one market."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from api.errors import not_found
from api.hot_reads.encoded_bodies import EncodedBodies, EncodedBody, Reading
from api.hot_reads.gathered_reads import GatheredReads
from api.hot_reads.market_rows import MarketRows
from api.hot_reads.outage_gate import OutageGate
from api.hot_reads.read_pool import ReadPool
from api.requests.market_list_query import ListQuery
from zmart_pipelines.client_schemas.formats import chain_time
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import market_search
from zmart_pipelines.store.queries.market_pages import list_page

_encode = msgspec.json.Encoder().encode


class _EncodedList(msgspec.Struct):
    """``api.markets.market_lists.MarketList`` with rows that are encoded already."""

    markets: list[msgspec.Raw]
    count: int
    count_capped: bool
    offset: int
    limit: int
    next: str | None
    as_of: str | msgspec.UnsetType | None


class _Place(NamedTuple):
    """A market's key, as cursors have it; ``as_of`` as ``market_search.keys`` has it."""

    market_id: bytes
    tier: int
    rank: int
    as_of: int | None = None


class MarketAnswers:
    """Answers requests for markets from encoded rows and bodies."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the answers; release their connections with ``close``."""
        size = settings.api_read_connections
        self._pools = (
            ReadPool(settings, size=size),
            ReadPool(settings, size=size, plan_once=False),
        )
        self._rows = MarketRows(*self._pools, settings.api_row_cache_bytes)
        self._bodies = EncodedBodies(
            self._pools[0].snapshot,
            seconds=settings.api_database_seconds,
            max_bytes=settings.api_body_cache_bytes,
            shared_seconds=settings.list_shared_seconds,
        )
        self._single = GatheredReads(self._rows.by_keys, settings.api_database_seconds)
        # Half of the places of connections are left to other requests.
        self._gate = OutageGate(
            limit=settings.api_connections // 2, limit_in_outage=settings.api_read_connections
        )

    async def list(self, asked: ListQuery) -> EncodedBody:
        """Return a page of the list.

        Raises:
            DatabaseBusy: Postgres is away or does not answer in time, or too many reads wait.
        """
        page = asked.page
        shape, values = market_search.request(
            asked.filters,
            asked.sort,
            asked.direction,
            limit=page.fetch,
            offset=page.offset,
            after=page.after,
        )

        async def read(deadline: float) -> Reading:
            found = await self._rows.page(list_page(shape), values, deadline=deadline)
            places = [_Place(key[0], key[1], int(key[2]), *key[3:]) for key in found.keys]
            shown, next_ = page.cut(places)
            rows = found.rows[: len(shown)]
            total, capped = market_search.capped(shape.filters, found.total or 0)
            as_of: str | msgspec.UnsetType | None = msgspec.UNSET
            if asked.sort in market_search.SORTED_BY_STATISTICS:
                as_of = chain_time(places[0].as_of) if places else None

            def encode() -> EncodedBody:
                body = _EncodedList(
                    [msgspec.Raw(row.json) for row in rows],
                    total,
                    capped,
                    page.offset,
                    page.limit,
                    next_,
                    as_of,
                )
                return EncodedBody(_encode(body), next_)

            return Reading((rows, total, capped, next_, as_of), encode)

        with self._gate:
            return await self._bodies.get(asked, read)

    async def one(self, key: bytes) -> EncodedBody:
        """Return the market with this id or, where none has it, at this address.

        Raises:
            ApiError: 404 where there is none.
            DatabaseBusy: Postgres is away or does not answer in time, or too many reads wait.
        """
        with self._gate:
            row = await self._single.get(key)
        if row is None:
            raise not_found("Market")
        return EncodedBody(row.json)

    def close(self) -> None:
        """Close every connection; those in use when their statement ends."""
        for pool in self._pools:
            pool.close()
