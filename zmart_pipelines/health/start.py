"""When the system started, as health counts it."""

from __future__ import annotations

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


def seconds_since_start(conn: Connection) -> float:
    """Return for how many seconds the system has been up, by the database's clock.

    Where ``zmart migrate`` never ran it is the time since Postgres started.
    """
    recorded = select(heartbeats.c.last_success_at).where(heartbeats.c.service == START)
    started = func.coalesce(recorded.scalar_subquery(), func.pg_postmaster_start_time())
    uptime = func.extract("epoch", func.clock_timestamp() - started)
    return float(conn.execute(select(uptime)).scalar_one())
