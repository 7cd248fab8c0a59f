"""A week of activity in about a minute: does every table that has a retention stop growing?

Each day writes what a day writes, by the product's own functions where there is one, then ages
the new rows to that day by SQL, runs the real job ``clean_up`` as of the day's end and reads the
size of every table. Retention periods are shortened to one and two days, so that each of them
ends within the week. The ledger, the votes and what people wrote are kept forever and not judged.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import dagster as dg
import psycopg
from psycopg import sql
from sqlalchemy import Engine, text

from assets.dagster_internals import TickData, TickStatus
from assets.defs.maintenance import clean_up
from assets.resources import Backend
from benchmarks.database import databases
from benchmarks.rows import Row
from tests.assets.dagster_internals import InstigatorType
from zmart_pipelines.chain.helius_enhanced import Hint
from zmart_pipelines.ledger.readers.deliveries import (
    process_delivery,
    store_delivery,
    store_hint_delivery,
)
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.monitoring.run_claims import claim_run
from zmart_pipelines.runtime.process_environment import dagster_database
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role

GOAL: Final = 5.0
DAYS: Final = 7
# Days after whose clean-up the sizes are compared: by the first, every period has ended once.
FIRST, LAST = 5, 7
# Rows by which a table may differ between two days without growing.
SLACK: Final = 5

ROOT: Final = Path(__file__).parents[1]
SETTINGS: Final = {
    "stream_keep_days": 2,
    "deliveries_keep_days": 2,
    "failures_keep_days": 2,
    "reports_keep_days": 2,
    "expired_drafts_keep_days": 1,
    "runs_keep_days": 1,
    "submission_runs_keep_days": 2,
    "idle_ticks_keep_days": 1,
}
# Kept forever, or written by nothing here but migrations.
KEPT: Final = frozenset(
    {
        *("chain.transactions", "chain.events", "ops.intents", "ops.attempts"),
        *("community.users", "community.discussions"),
    }
)
# The columns that say when a row was written, of rows that are written with the clock of now.
_CLOCKS: Final[Mapping[str, Sequence[str]]] = {
    "ops.stream": ("created_at",),
    "ops.alerts": ("raised_at", "cleared_at"),
    "ops.reconciliations": ("reconciled_at",),
    "ops.run_claims": ("claimed_at",),
    "chain.deliveries": ("received_at", "ingested_at"),
    "chain.hints": ("received_at", "retry_at", "settled_at"),
    "chain.gaps": ("opened_at", "retry_at", "closed_at"),
    "community.market_drafts": ("created_at", "expires_at"),
    "dagster.runs": ("create_timestamp", "update_timestamp"),
    "dagster.event_logs": ("timestamp",),
    "dagster.asset_check_executions": ("create_timestamp",),
    "dagster.asset_event_tags": ("event_timestamp",),
    "dagster.job_ticks": ("timestamp", "create_timestamp", "update_timestamp"),
}


class Size(NamedTuple):
    """Rows and bytes (with indexes) of one table."""

    rows: int
    bytes: int


class Rates(NamedTuple):
    """What one day writes."""

    frames: int
    deliveries: int
    hints: int
    runs: int
    reports: int
    ticks: int


QUICK: Final = Rates(frames=2_000, deliveries=150, hints=50, runs=6, reports=60, ticks=150)
FULL: Final = Rates(frames=20_000, deliveries=600, hints=300, runs=40, reports=600, ticks=1_500)

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
_ASSET: Final = dg.AssetKey(["market", "state"])


@dg.multi_asset(
    specs=[dg.AssetSpec(_ASSET)], check_specs=[dg.AssetCheckSpec("holds", asset=_ASSET)]
)
def _state() -> Iterator[Any]:
    """Materialize, with one check, as most runs do."""
    sys.stderr.write("for the compute log\n")
    yield dg.MaterializeResult(asset_key=_ASSET)
    yield dg.AssetCheckResult(asset_key=_ASSET, check_name="holds", passed=True)


_DEFINITIONS: Final = dg.Definitions(
    assets=[_state],
    jobs=[dg.define_asset_job("a_run", [_ASSET], executor_def=dg.in_process_executor)],
)


def compressed_week(quick: bool) -> Row:
    """Return by how much the fastest growing table grew from the fifth day to the seventh."""
    rates = QUICK if quick else FULL
    # There is no Redis here to announce new frames on.
    logging.getLogger("zmart_pipelines.store.stream").setLevel(logging.ERROR)
    with ExitStack() as stack:
        cluster = stack.enter_context(databases(durable=False))
        url = stack.enter_context(cluster.fresh())
        instance = stack.enter_context(_instance(url))
        settings = Settings.model_validate(login_settings(url) | SETTINGS)
        backend = Backend(settings)
        sizes = [
            _day(number, rates, backend, instance, cluster.superuser(url))
            for number in range(1, DAYS + 1)
        ]
    table, growth = fastest_growth(sizes)
    days = "; ".join(
        f"{name} {' '.join(str(day[name].rows) for day in sizes)}" for name in sorted(_moved(sizes))
    )
    worst = "none grew" if table is None else f"fastest {table}"
    text_ = (
        f"{worst}; rows after each night's clean_up: {days}; megabytes in all"
        f" {' '.join(f'{sum(size.bytes for size in day.values()) / 1e6:.1f}' for day in sizes)};"
        f" periods shortened to 1-2 days, rows aged by SQL, {rates.runs} runs and"
        f" {rates.deliveries} deliveries a day"
    )
    return Row("compressed_week", round(growth, 1), "% growth", GOAL, text_, growth <= GOAL)


def fastest_growth(sizes: Sequence[Mapping[str, Size]]) -> tuple[str | None, float]:
    """Return the table that grew most between the two compared days, and by how many percent.

    Bytes count where they grow faster than rows do; a few rows or pages are no growth.

    Args:
        sizes: Of each day, by table.
    """
    first, last = sizes[FIRST - 1], sizes[LAST - 1]
    found: list[tuple[float, str]] = []
    for table, now in last.items():
        before = first.get(table, Size(0, 0))
        rows = now.rows - before.rows - SLACK
        pages = now.bytes - before.bytes * 1.25 - 128 * 1024
        found.append((100 * max(0, rows) / max(before.rows, 1), table))
        found.append((100 * max(0.0, pages) / max(before.bytes, 1), f"{table} (bytes)"))
    growth, table = max(found)
    return (table, growth) if growth else (None, 0.0)


def _moved(sizes: Sequence[Mapping[str, Size]]) -> set[str]:
    return {name for day in sizes for name, size in day.items() if size.rows > SLACK}


def _day(
    number: int, rates: Rates, backend: Backend, instance: dg.DagsterInstance, superuser: str
) -> dict[str, Size]:
    """Live through one day and its night; return the sizes afterwards."""
    _write_ledger_side(number, rates, backend)
    _write_dagster_side(number, rates, instance)
    _age(superuser, number)
    night = datetime.now(UTC) + timedelta(days=number, hours=1)
    config = {"config": {"as_of": night.isoformat()}}
    result = clean_up.execute_in_process(
        instance=instance,
        resources={"backend": backend},
        run_config={**_QUIET, "ops": {"prune_tables": config, "prune_dagster": config}},
    )
    if not result.success:
        raise RuntimeError("clean_up failed")
    return _sizes(superuser, Path(os.environ["DAGSTER_COMPUTE_LOGS"]))


def _write_ledger_side(number: int, rates: Rates, backend: Backend) -> None:
    ingest, pipelines = backend.engine(Role.INGEST), backend.engine(Role.PIPELINES)
    for start in range(0, rates.frames, 500):
        with pipelines.begin() as conn:
            stream.append(
                conn,
                [
                    stream.Frame(f"market:{one % 40}", "market_state", {"price": one})
                    for one in range(start, min(start + 500, rates.frames))
                ],
            )
    for one in range(rates.deliveries):
        body = b"not json" if one % 20 == 0 else b"[]"
        with ingest.begin() as conn:
            delivery = store_delivery(conn, body, transaction_count=0)
        process_delivery(ingest, delivery, program=backend.settings.program)
    with ingest.begin() as conn:
        hints = [Hint(uuid.uuid4().bytes * 4, number) for _ in range(rates.hints)]
        store_hint_delivery(conn, b"[]", hints)
    with pipelines.begin() as conn:
        for one in range(rates.runs):
            claim_run(conn, str(uuid.uuid4()))
            raise_alert(conn, AlertKey("run", subject=f"job {one}"), "high", "it failed")
            clear_alert(conn, AlertKey("run", subject=f"job {one}"))
    _write_as_owner(rates, backend.settings)


def _write_as_owner(rates: Rates, settings: Settings) -> None:
    """Write what has no function that could be called without a chain."""
    owner: Engine = role_engine(Role.OWNER, settings.database_url.get_secret_value(), pool_size=1)
    number = {"number": rates.runs}
    with owner.begin() as conn:
        conn.execute(
            text(
                "UPDATE chain.hints SET status = 'read', settled_at = now()"
                " WHERE status = 'pending'"
            )
        )
        conn.execute(
            text(
                "INSERT INTO chain.gaps (signature, kind, reason, closed_at)"
                " SELECT decode(md5(random()::text), 'hex'), 'unread', '-', now()"
                " FROM generate_series(1, :number)"
            ),
            number,
        )
    owner.dispose()


def _write_dagster_side(number: int, rates: Rates, instance: dg.DagsterInstance) -> None:
    job = _DEFINITIONS.resolve_job_def("a_run")
    for _ in range(rates.runs):
        job.execute_in_process(instance=instance, run_config=_QUIET)
    for one in range(rates.reports):
        key = dg.AssetKey(["market", f"table_{one % 10}"])
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, tags={"dagster/data_version": str(one)})
            if one % 2
            else dg.AssetObservation(key)
        )
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=key, check_name="holds", passed=True, metadata={})
        )
    for one in range(rates.ticks):
        _tick(instance, f"{number}-{one}", TickStatus.SKIPPED if one % 10 else TickStatus.SUCCESS)


def _tick(instance: dg.DagsterInstance, sensor: str, status: TickStatus) -> None:
    tick = instance.create_tick(
        TickData(
            instigator_origin_id=sensor,
            instigator_name=sensor,
            instigator_type=InstigatorType.SENSOR,
            status=TickStatus.STARTED,
            timestamp=datetime.now(UTC).timestamp(),
            selector_id=sensor,
        )
    )
    instance.update_tick(tick.with_status(status))


def _age(superuser: str, days: int) -> None:
    """Move what was written just now ``days`` days ahead; triggers would refuse some of it."""
    with psycopg.connect(superuser) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("SET TIME ZONE 'UTC'")
        for table, columns in _CLOCKS.items():
            name = sql.Identifier(*table.split("."))
            moved = sql.SQL(", ").join(
                sql.SQL("{0} = {0} + make_interval(days => {1})").format(
                    sql.Identifier(column), days
                )
                for column in columns
            )
            recent = sql.SQL("{} < now() + interval '12 hours'").format(sql.Identifier(columns[0]))
            conn.execute(sql.SQL("UPDATE {} SET {} WHERE {}").format(name, moved, recent))
        conn.execute(
            "UPDATE dagster.runs SET start_time = start_time + %(s)s, end_time = end_time + %(s)s"
            " WHERE end_time < extract(epoch FROM now()) + 43200",
            {"s": days * 86400.0},
        )


def _sizes(superuser: str, logs: Path) -> dict[str, Size]:
    """Return the size of every table that is not kept forever, and of the compute logs."""
    found: dict[str, Size] = {}
    with psycopg.connect(superuser, autocommit=True) as conn:
        conn.execute("VACUUM")
        tables = conn.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname IN ('chain', 'ops', 'community', 'dagster')"
        ).fetchall()
        for schema, table in tables:
            name = f"{schema}.{table}"
            if name in KEPT:
                continue
            row = conn.execute(
                sql.SQL("SELECT count(*), pg_total_relation_size({}) FROM {}").format(
                    name, sql.Identifier(schema, table)
                )
            ).fetchone()
            if row is not None:
                found[name] = Size(int(row[0]), int(row[1]))
    files = [path for path in logs.rglob("*") if path.is_file()]
    found["compute logs"] = Size(len(files), sum(path.stat().st_size for path in files))
    return found


@contextmanager
def _instance(url: str) -> Iterator[dg.DagsterInstance]:
    """Yield the instance of ``deploy/dagster.yaml`` on the database."""
    home = Path(tempfile.mkdtemp(prefix="zmart-week-"))
    values = {
        **dagster_database(Settings.model_validate(login_settings(url))),
        "DAGSTER_COMPUTE_LOGS": str(home / "logs"),
    }
    before = dict(os.environ)
    os.environ.update(values)
    shutil.copy(ROOT / "deploy" / "dagster.yaml", home)
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)
