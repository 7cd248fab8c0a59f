"""Sizes of tables are recorded once an hour and expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from tests.store.conftest import Engines
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.table_sizes import DATABASE, record_sizes, size_history
from zmart_pipelines.store.retention import prune

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SAMPLES = text("SELECT count(*), count(DISTINCT measured_at) FROM ops.table_sizes")


def test_sizes_are_recorded_once_an_hour(engines: Engines) -> None:
    with engines[Role.PIPELINES].begin() as conn:
        record_sizes(conn)
    with engines[Role.PIPELINES].begin() as conn:
        record_sizes(conn)
        (tables, times) = conn.execute(SAMPLES).one()
        assert times == 1
        assert tables > 40
        (database,) = size_history(conn, [DATABASE], span=DAY, step=HOUR)
        (events,) = size_history(conn, ["chain.events"], span=DAY, step=HOUR)
    assert database.bytes > events.bytes > 0
    with engines[Role.OWNER].begin() as conn:
        conn.execute(text("UPDATE ops.table_sizes SET measured_at = measured_at - interval '1 h'"))
    with engines[Role.PIPELINES].begin() as conn:
        record_sizes(conn)
        assert conn.execute(SAMPLES).one() == (2 * tables, 2)


def test_of_each_step_the_last_sample_counts(engines: Engines) -> None:
    added = text("INSERT INTO ops.table_sizes VALUES (:name, :at, :bytes)")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    hours = [midnight - 2 * DAY + number * HOUR for number in range(48)]
    with engines[Role.PIPELINES].begin() as conn:
        for name in (DATABASE, "chain.events"):
            rows = [{"name": name, "at": at, "bytes": at.hour} for at in hours]
            conn.execute(added, rows)
        found = size_history(conn, ["chain.events"], span=3 * DAY, step=DAY)
    assert [(one.measured_at, one.bytes) for one in found] == [
        (hours[23], 23),
        (hours[47], 23),
    ]


def test_old_sizes_expire(engines: Engines) -> None:
    with engines[Role.PIPELINES].begin() as conn:
        record_sizes(conn)
    kept = Settings().reports_keep_days
    for days, remain in ((kept - 1, 1), (kept + 1, 0)):
        prune(engines[Role.PIPELINES], Settings(), datetime.now(UTC) + days * DAY)
        with engines[Role.READ].connect() as conn:
            assert conn.execute(SAMPLES).one()[1] == remain
