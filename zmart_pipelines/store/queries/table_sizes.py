"""How large the database and its tables were over time, from samples of each hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, text

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.queries.system_figures import database_figures, table_figures
from zmart_pipelines.store.tables.table_sizes import table_sizes

# The name under which all of the database is measured; names of tables have a dot.
DATABASE: Final = "database"
SAMPLE_SECONDS: Final = 3600


def record_sizes(conn: Connection) -> None:
    """Record the sizes of now, unless the last ones are younger than ``SAMPLE_SECONDS``."""
    sizes = table_sizes.c
    oldest = func.now() - timedelta(seconds=SAMPLE_SECONDS)
    recent = select(sizes.name).where(sizes.name == DATABASE, sizes.measured_at > oldest)
    if conn.execute(select(recent.exists())).scalar_one():
        return
    found = {DATABASE: database_figures(conn).bytes}
    found |= {table.name: table.bytes for table in table_figures(conn)}
    conn.execute(
        insert(table_sizes).values(measured_at=func.now()),
        [{"name": name, "bytes": size} for name, size in found.items()],
    )


class SizeSample(msgspec.Struct, frozen=True):
    """The size of a table with its indexes, or of the database, in bytes at a time."""

    measured_at: datetime
    name: str
    bytes: int


# Of each step the last sample, so that a longer period has no more points than a shorter one.
_HISTORY: Final = text(
    """
WITH times AS (
    SELECT max(measured_at) AS measured_at FROM ops.table_sizes
    WHERE name = :database AND measured_at >= now() - CAST(:span AS interval)
    GROUP BY date_bin(:step, measured_at, TIMESTAMPTZ 'epoch')
)
SELECT s.measured_at, s.name, s.bytes
FROM times JOIN ops.table_sizes AS s USING (measured_at)
WHERE s.name = ANY(:names) ORDER BY s.measured_at, s.name
"""
).bindparams(bindparam("database", DATABASE))


def size_history(
    conn: Connection, names: Sequence[str], *, span: timedelta, step: timedelta
) -> list[SizeSample]:
    """Return the samples of these tables, oldest first.

    Args:
        conn: A transaction.
        names: Schema and table, or ``DATABASE``.
        span: How far back from now.
        step: Of samples closer to each other than this, the last one is returned.
    """
    values = {"names": list(names), "span": span, "step": step}
    return many(SizeSample, conn.execute(_HISTORY, values))
