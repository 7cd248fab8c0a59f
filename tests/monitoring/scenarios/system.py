"""Scenarios of runs, processes, the machine and the pin store."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import dagster as dg
from sqlalchemy import Engine, text

from assets.defs.sensors.monitor import monitor_sensor
from assets.resources import Backend
from tests.api.test_discussion_snapshots import snapshot_three_days
from tests.assets.test_run_alerts import fail, job, run, succeed
from tests.monitoring.scenarios.stage import NEVER, Stage, scenario
from tests.submissions.test_planner import proposed
from zmart_pipelines.breakers import policies
from zmart_pipelines.breakers.endpoint_breakers import DatabaseGuard
from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.health.health_alerts import update_health_alerts
from zmart_pipelines.health.measure import health
from zmart_pipelines.health.watchdog import Watchdog
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.monitoring.heartbeats import START, record_heartbeat
from zmart_pipelines.monitoring.monitor import measure_machine, run_monitor
from zmart_pipelines.monitoring.work_health import QUANTITIES
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Threshold
from zmart_pipelines.snapshots.taking import pin_documents
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.monitor import monitor_facts


@scenario("health", shows="vote-aggregator is ")
def vote_waits_for_its_aggregation(stage: Stage) -> Iterator[None]:
    world = stage.world
    limits = {f"health_{one.name}": NEVER for one in QUANTITIES}
    limits["health_due_decision_seconds"] = Threshold(1, 3_600)

    def watch() -> None:
        with stage.engine.begin() as conn:
            settings = stage.settings(**limits)
            update_health_alerts(conn, health(conn, settings).values(), settings)

    market = proposed(world)
    world.vote(market, [True] * 10)
    deadline = time.monotonic() + 30
    while not stage.open() and time.monotonic() < deadline:
        time.sleep(0.2)
        watch()
    yield
    world.plan()
    world.drive()
    world.sync()
    watch()


@scenario("breaker")
def node_stays_away(stage: Stage) -> Iterator[None]:
    chain = stage.world.chain
    settings = stage.settings(breaker_endpoint_failures=1, rpc_timeout=1)
    guard = DatabaseGuard(stage.engine, policies.endpoint_policy(settings))

    def watch() -> None:
        with stage.engine.begin() as conn:
            update_breaker_alerts(conn)

    with connect(settings, guard=guard, attempts=1) as rpc:
        chain.stop()
        with contextlib.suppress(RpcUnavailable):
            rpc.slot("confirmed")
        stage.pass_time(301)
        watch()
        yield
        chain._start(str(chain.port))
    fresh = DatabaseGuard(stage.engine, policies.endpoint_policy(settings))
    with connect(settings, guard=fresh, attempts=1) as rpc:
        rpc.slot("confirmed")
    watch()


@scenario("run")
def run_fails(stage: Stage) -> Iterator[None]:
    backend = Backend(stage.settings())
    with dg.DagsterInstance.ephemeral() as instance:
        fail(backend, instance, run(job("reconcile", fails=True), instance))
        yield
        succeed(backend, instance, run(job("reconcile", fails=False), instance))


@scenario("check")
def check_fails(stage: Stage) -> Iterator[None]:
    backend = Backend(stage.settings())

    def checked(passed: bool) -> dg.JobDefinition:
        @dg.asset_check(asset=dg.AssetKey(["market", "state"]), name="matches_ledger_fold")
        def error() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.ERROR)

        definitions = dg.Definitions(
            assets=[dg.AssetSpec(["market", "state"])],
            asset_checks=[error],
            jobs=[dg.define_asset_job("reconcile", dg.AssetSelection.all_asset_checks())],
        )
        return definitions.resolve_job_def("reconcile")

    with dg.DagsterInstance.ephemeral() as instance:
        succeed(backend, instance, run(checked(passed=False), instance))
        yield
        succeed(backend, instance, run(checked(passed=True), instance))


@scenario("stuck_run")
def run_does_not_end(stage: Stage) -> Iterator[None]:
    settings = stage.settings(stuck_run_seconds=1)
    with dg.DagsterInstance.ephemeral() as instance:
        made = instance.create_run_for_job(job("reconcile", fails=False))
        instance.report_run_canceling(made)  # it is asked to end, and does not
        time.sleep(1.5)

        def tick() -> None:
            monitor_sensor(
                dg.build_sensor_context(instance=instance, resources={"backend": Backend(settings)})
            )

        tick()
        yield
        instance.report_run_canceled(made)
        tick()


@contextlib.contextmanager
def watchdog(stage: Stage) -> Iterator[tuple[Watchdog, Engine]]:
    """A watchdog of a system in which everything is heard of, and Dagster's tables."""
    dagster = role_engine(Role.DAGSTER, stage.database)
    with dagster.begin() as conn:
        conn.execute(text("CREATE TABLE dagster.daemon_heartbeats (timestamp timestamp)"))
        conn.execute(
            text("INSERT INTO dagster.daemon_heartbeats VALUES (now() AT TIME ZONE 'UTC')")
        )
    stage.monitor()
    with stage.engine.begin() as conn:
        record_heartbeat(conn, START)
    record = stage.folder / "restarts.jsonl"
    # It sends by itself; here the test sends, as with every cause.
    made = Watchdog(stage.settings(), (), pipelines=stage.engine, dagster=dagster, restarts=record)
    made.watch_once()
    assert stage.open() == []
    try:
        yield made, dagster
    finally:
        dagster.dispose()


@scenario("monitor_silent")
def no_round_of_the_monitor(stage: Stage) -> Iterator[None]:
    with watchdog(stage) as (watching, _):
        stage.pass_time(181)
        watching.watch_once()
        yield
        stage.monitor()
        watching.watch_once()


@scenario("daemon_silent")
def no_heartbeat_of_the_daemon(stage: Stage) -> Iterator[None]:
    with watchdog(stage) as (watching, dagster):
        stage.pass_time(3_600)
        stage.monitor()
        with dagster.begin() as conn:
            conn.execute(
                text("UPDATE dagster.daemon_heartbeats SET timestamp = timestamp - interval '1h'")
            )
        watching.watch_once()
        yield
        with dagster.begin() as conn:
            conn.execute(
                text("UPDATE dagster.daemon_heartbeats SET timestamp = now() AT TIME ZONE 'UTC'")
            )
        watching.watch_once()


@scenario("restarts")
def process_is_restarted_often(stage: Stage) -> Iterator[None]:
    """``tests/runtime`` shows that the supervisor keeps this record."""
    record = stage.folder / "restarts.jsonl"
    with watchdog(stage) as (watching, _):
        line = json.dumps({"process": "api", "at": time.time(), "code": 1})
        record.write_text(f"{line}\n" * 4)
        watching.watch_once()
        yield
        line = json.dumps({"process": "api", "at": time.time() - 3_601, "code": 1})
        record.write_text(f"{line}\n" * 4)
        watching.watch_once()


@scenario("disk_space")
def disk_is_full(stage: Stage) -> Iterator[None]:
    with stage.engine.connect() as conn:
        used = measure_machine(conn, stage.settings()).disk_used_percent
    stage.monitor(disk_used_percent=Threshold(int(used), 1_000))
    yield
    stage.monitor(disk_used_percent=Threshold(int(used) + 2, 1_000))


@scenario("clock_skew")
def clock_is_wrong(stage: Stage) -> Iterator[None]:
    limit = {"clock_skew_seconds": 5.0}
    right = time.time
    with stage.patch.context() as patch:
        patch.setattr("zmart_pipelines.monitoring.monitor.time.time", lambda: right() + 6)
        stage.monitor(**limit)
    yield
    stage.monitor(**limit)


@scenario("database_connections", shows="zmart_read")
def connections_are_taken(stage: Stage) -> Iterator[None]:
    with stage.engine.connect() as conn:
        facts = monitor_facts(conn, {}, reader="monitor", part=0)
    percent = 100 * facts.connections // facts.max_connections + 5
    limit = {"database_connections_percent": Threshold(percent, 100)}
    stage.monitor(**limit)
    assert stage.open() == []
    crowd = role_engine(Role.READ, stage.database, pool_size=facts.max_connections)
    held = [crowd.connect() for _ in range(6 * facts.max_connections // 100 + 1)]
    stage.monitor(**limit)
    yield
    for one in held:
        one.close()
    crowd.dispose()
    time.sleep(0.5)  # Postgres counts a connection until its process has ended
    stage.monitor(**limit)


@scenario("pin_storage")
def pins_outgrow_their_plan(stage: Stage) -> Iterator[None]:
    settings = stage.settings(pin_storage_bytes=Threshold(1_000, 2_000))
    pins = LocalPinStore(stage.folder / "ipfs")
    cids = [pins.pin(bytes([number]) * 600) for number in (1, 2)]
    run_monitor(stage.engine, settings, pins=pins)
    yield
    pins.unpin(cids[0])
    stage.pass_time(241)
    run_monitor(stage.engine, settings, pins=pins)


@scenario("failed_uploads")
def pin_store_fails_repeatedly(stage: Stage) -> Iterator[None]:
    snapshot_three_days(stage.database)
    place = stage.folder / "no-folder"
    place.write_bytes(b"")
    pins = LocalPinStore(place)
    for _ in range(2):
        list(pin_documents(stage.engine, pins))
    stage.monitor()
    assert stage.open() == [], "two failures may be an accident"
    list(pin_documents(stage.engine, pins))
    stage.monitor()
    yield
    place.unlink()
    assert [one.error for one in pin_documents(stage.engine, pins)] == [None] * 3
    stage.monitor()
