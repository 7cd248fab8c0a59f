"""How the database and its largest tables grew."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import DatabaseDep, error_responses
from zmart_pipelines.client_schemas.formats import iso8601
from zmart_pipelines.store.queries import system_figures
from zmart_pipelines.store.queries.table_sizes import DATABASE, SAMPLE_SECONDS, size_history

_TABLES: Final = 12
_MOST_DAYS: Final = 90
_MOST_POINTS: Final = 168


class TableGrowth(msgspec.Struct, frozen=True):
    """The size of a table with its indexes at each time; null where it was not measured."""

    name: str
    bytes: list[int | None]


class SystemGrowth(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes at `times`, oldest first: of the database, and of its largest tables.

    The last time is that of the answer, the others are those of stored samples, at least an hour
    apart. The tables are those that are the largest now, the largest first.
    """

    times: list[str]
    database: list[int]
    tables: list[TableGrowth]


@get(
    "/api/system/growth",
    tags=["ledger"],
    responses=error_responses(400),
    cache_control=caching.A_SECOND,
)
async def get_system_growth(
    database: DatabaseDep,
    days: Annotated[
        int, QueryParameter(ge=1, le=_MOST_DAYS, description="How far back, in days.")
    ] = 7,
) -> SystemGrowth:
    """Get how large the database and its largest tables were over the last days."""
    return await database.read(lambda conn: _growth(conn, timedelta(days=days)))


def _growth(conn: Connection, span: timedelta) -> SystemGrowth:
    now = datetime.now(UTC)
    largest = sorted(system_figures.table_figures(conn), key=lambda one: -one.bytes)[:_TABLES]
    sizes: dict[datetime, dict[str, int]] = defaultdict(dict)
    step = max(span / _MOST_POINTS, timedelta(seconds=SAMPLE_SECONDS))
    names = [DATABASE, *(table.name for table in largest)]
    for sample in size_history(conn, names, span=span, step=step):
        sizes[sample.measured_at][sample.name] = sample.bytes
    sizes[now] = {table.name: table.bytes for table in largest}
    sizes[now][DATABASE] = system_figures.database_figures(conn).bytes
    return SystemGrowth(
        times=[iso8601(at) for at in sizes],
        database=[of_time[DATABASE] for of_time in sizes.values()],
        tables=[
            TableGrowth(table.name, [of_time.get(table.name) for of_time in sizes.values()])
            for table in largest
        ],
    )


HANDLERS = [get_system_growth]
