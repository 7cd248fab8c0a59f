"""When the system started, as health counts it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from zmart_pipelines.monitoring.heartbeats import START, record_heartbeat
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.tables.ops import heartbeats


def record_start(settings: Settings) -> None:
    """Record that the system starts now; deadlines count from here until the first work is done."""
    pool = engine(Role.PIPELINES, settings, pool_size=1)
    try:
        with pool.begin() as conn:
            record_heartbeat(conn, START)
    finally:
        pool.dispose()


_RECORDED: Final = select(heartbeats.c.last_success_at).where(heartbeats.c.service == START)
_STARTED_AT: Final = func.coalesce(_RECORDED.scalar_subquery(), func.pg_postmaster_start_time())


def started_at(conn: Connection) -> datetime:
    """Return when the system started, by the database's clock.

    Where ``zmart migrate`` never ran that is when Postgres started.
    """
    found: datetime = conn.execute(select(_STARTED_AT)).scalar_one()
    return found


def seconds_since_start(conn: Connection) -> float:
    """Return for how many seconds the system has been up, by the database's clock."""
    uptime = func.extract("epoch", func.clock_timestamp() - _STARTED_AT)
    return float(conn.execute(select(uptime)).scalar_one())
