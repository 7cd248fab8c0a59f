"""``zmart watchdog``: watch monitor, daemon and Postgres from outside Dagster."""

from __future__ import annotations

import time

import click

from zmart_pipelines.runtime.state_folder import StateFolder, with_running_system
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine


@click.command()
@click.option("--once", is_flag=True, help="Run one round and end.")
def watchdog(once: bool) -> None:
    """Raise and send alerts when the monitor, Dagster's daemon or Postgres are silent.

    It also sends what other parts have raised. `zmart up` runs it; elsewhere run it as a service,
    best on another machine than Dagster's. It ends by SIGTERM.

    \b
    Example:
      zmart watchdog
    """
    from zmart_pipelines.health.watchdog import ROUND_SECONDS, Watchdog
    from zmart_pipelines.monitoring.alert_posters import posters

    settings = with_running_system(Settings())
    pools = [engine(role, settings, pool_size=1) for role in (Role.PIPELINES, Role.DAGSTER)]
    watching = Watchdog(
        settings,
        posters(settings),
        pipelines=pools[0],
        dagster=pools[1],
        restarts=StateFolder(settings.zmart_state.resolve()).restarts,
    )
    try:
        watching.watch_once()
        while not once:
            time.sleep(ROUND_SECONDS)
            watching.watch_once()
    finally:
        for pool in pools:
            pool.dispose()
