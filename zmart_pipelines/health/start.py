"""When the system started, as health counts it."""

from __future__ import annotations

from zmart_pipelines.monitoring.heartbeats import START, record_heartbeat
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine


def record_start(settings: Settings) -> None:
    """Record that the system starts now; deadlines count from here until the first work is done."""
    pool = engine(Role.PIPELINES, settings, pool_size=1)
    try:
        with pool.begin() as conn:
            record_heartbeat(conn, START)
    finally:
        pool.dispose()
