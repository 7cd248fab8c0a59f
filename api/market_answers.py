"""The answers of the hot reads of markets: a page of the list, and one market."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from api.encoded_bodies import EncodedBodies, EncodedBody, Reading
from api.errors import not_found
from api.market_rows import MarketRows
from api.read_pool import ReadPool
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.market_pages import ListShape, list_page

_encode = msgspec.json.Encoder().encode


class ListRequest(NamedTuple):
    """Everything on which a page of the list depends, apart from the tables."""

    state: int | None
    category: str | None
    creator: bytes | None
    limit: int
    offset: int

    @property
    def shape(self) -> ListShape:
        """Return which statements answer it."""
        return ListShape(
            self.limit,
            offset=self.offset > 0,
            state=self.state is not None,
            category=self.category is not None,
            creator=self.creator is not None,
        )


class _EncodedList(msgspec.Struct):
    """``api.routes.markets.MarketList`` with rows that are encoded already."""

    markets: list[msgspec.Raw]
    count: int
    offset: int
    limit: int


class MarketAnswers:
    """Answers requests for markets from encoded rows and bodies."""

    def __init__(self, pool: ReadPool, settings: Settings) -> None:
        self._rows = MarketRows(pool, settings.api_row_cache_bytes)
        self._bodies = EncodedBodies(
            seconds=settings.api_database_seconds,
            max_bytes=settings.api_body_cache_bytes,
            shared_seconds=settings.list_shared_seconds,
        )
        self._single = EncodedBodies(
            seconds=settings.api_database_seconds, max_bytes=settings.api_body_cache_bytes
        )

    async def list(self, asked: ListRequest) -> EncodedBody:
        """Return a page of the list.

        Raises:
            DatabaseBusy: Postgres is away or does not answer in time.
        """

        async def read(deadline: float) -> Reading:
            found = await self._rows.page(
                list_page(asked.shape), asked._asdict(), deadline=deadline
            )
            total = found.total or 0

            def encode() -> EncodedBody:
                rows = [msgspec.Raw(row.json) for row in found.rows]
                return EncodedBody(_encode(_EncodedList(rows, total, asked.offset, asked.limit)))

            return Reading((found.rows, total), encode)

        return await self._bodies.get(asked, read)

    async def one(self, key: bytes) -> EncodedBody:
        """Return the market with this id or, where none has it, at this address.

        Raises:
            ApiError: 404 where there is none.
            DatabaseBusy: Postgres is away or does not answer in time.
        """

        async def read(deadline: float) -> Reading:
            row = await self._rows.one(key, deadline=deadline)
            if row is None:
                raise not_found("Market")
            return Reading(row, lambda: EncodedBody(row.json))

        return await self._single.get(key, read)
