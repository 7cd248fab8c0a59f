"""Markets as JSON, always as fresh as the tables, though most rows are not read from them.

Postgres says in one statement which markets a page has and in which version each is. A row that
this process has encoded in that version is not read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from api.hot_reads.read_pool import Answer, ReadPool
from api.hot_reads.row_cache import EncodedRow, RowCache
from api.statement_pool import Row
from zmart_pipelines.client_schemas.markets import market as encodable_market
from zmart_pipelines.store.prepared_statements import PreparedStatement
from zmart_pipelines.store.queries.market_pages import BY_ADDRESSES, BY_IDS, MarketPage

_encode = msgspec.json.Encoder().encode

Values: TypeAlias = Mapping[str, Any]


class PageOfRows(NamedTuple):
    """A page.

    Attributes:
        rows: Its markets.
        keys: For each, the columns of the page's statement: ``market_id`` first.
        total: What the statement counts; None where it counts nothing.
    """

    rows: list[EncodedRow]
    keys: list[tuple[Any, ...]]
    total: int | None


class MarketRows:
    """Reads markets through a pool and keeps them encoded."""

    def __init__(self, pool: ReadPool, searches: ReadPool, max_bytes: int) -> None:
        """Read through pools, which stay the caller's.

        Args:
            pool: For statements that are planned once.
            searches: For those whose plan depends on what they are asked.
            max_bytes: Size of the rows that are kept.
        """
        self._pool = pool
        self._searches = searches
        self._cache = RowCache(max_bytes)

    async def page(
        self, page: MarketPage, values: Values, *, deadline: float | None = None
    ) -> PageOfRows:
        """Return a page as it is in one snapshot, which is taken after the call.

        Args:
            page: The page's statements.
            values: Their parameters by name.
            deadline: As for ``ReadPool.fetch``.

        Raises:
            DatabaseBusy: Postgres is away or does not answer in time.
        """
        until = self._pool.deadline() if deadline is None else deadline
        pool = self._searches if page.plan_by_values else self._pool
        answer = await self._fetch(page.versions, values, until, pool)
        listed = _listed(answer)
        rows = await self._rows(page, answer, listed, until)
        if rows is None:
            # One changed between the two statements: all of the page in one.
            answer = await self._fetch(page.rows, values, until, pool)
            listed = _listed(answer)
            rows = [self._keep(page, answer, row) for row in listed]
        return PageOfRows(rows, [page.key_of(row) for row in listed], answer.rows[0][0])

    async def by_keys(self, keys: Sequence[bytes], deadline: float) -> dict[bytes, EncodedRow]:
        """Return the market of each key that is an id or, where none has it, an address.

        Raises:
            DatabaseBusy: Postgres is away or does not answer in time.
        """
        found = await self.page(BY_IDS, {"ids": keys}, deadline=deadline)
        rows = {key[0]: row for key, row in zip(found.keys, found.rows, strict=True)}
        addresses = [key for key in keys if key not in rows]
        if addresses:
            found = await self.page(BY_ADDRESSES, {"addresses": addresses}, deadline=deadline)
            rows |= {key[1]: row for key, row in zip(found.keys, found.rows, strict=True)}
        return rows

    @staticmethod
    async def _fetch(
        statement: PreparedStatement, values: Values, until: float, pool: ReadPool
    ) -> Answer:
        return await pool.fetch(statement.text, statement.arguments(values), deadline=until)

    async def _rows(
        self, page: MarketPage, answer: Answer, listed: Sequence[Row], until: float
    ) -> list[EncodedRow] | None:
        """Return the rows in the versions of ``listed``; None where one has changed since."""
        get, version_of, run = self._cache.get, page.version_of, answer.run
        wanted = [(row[2], (run, *version_of(row))) for row in listed]
        found = [get(market_id, version) for market_id, version in wanted]
        known_rows = [row for row in found if row is not None]
        if len(known_rows) == len(found):
            return known_rows
        missing = [key[0] for key, row in zip(wanted, found, strict=True) if row is None]
        read = await self._fetch(BY_IDS.rows, {"ids": missing}, until, self._pool)
        fresh = {row[2]: self._keep(BY_IDS, read, row) for row in _listed(read)}
        rows = []
        for (market_id, version), known in zip(wanted, found, strict=True):
            row = known or fresh.get(market_id)
            if row is None or row.version != version:
                return None
            rows.append(row)
        return rows

    def _keep(self, page: MarketPage, answer: Answer, row: Row) -> EncodedRow:
        """Return the encoded row of one that was read with its market, and keep it."""
        version = (answer.run, *page.version_of(row))
        kept = self._cache.get(row[2], version)
        if kept is None:
            kept = EncodedRow(version, _encode(encodable_market(page.market_of(row))))
            self._cache.put(row[2], kept)
        return kept


def _listed(answer: Answer) -> Sequence[Row]:
    """Return the rows with a market: none of a page that has only its count."""
    return answer.rows if answer.rows[0][1] is not None else ()
