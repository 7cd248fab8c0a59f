"""Outages, pauses and one run at a time, against real run records and a real database."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, select

from assets.error_text import explain
from assets.resources import Backend
from assets.run_requests import FIRST_PAUSE, LAST_PAUSE, RequestCursor, request_run
from assets.runs_in_flight import in_flight
from assets.sensor_ticks import Tick, skip_on_outage
from tests.assets.dagster_internals import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    create_run_for_test,
)
from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import heartbeats

JOB = "finalize_markets"
# A queued run must say where its job lives.
_ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("localhost", 1), "__repository__"), JOB
)
WORK = [b"b", b"a"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, True),
        (dg.DagsterRunStatus.QUEUED, True),
        (dg.DagsterRunStatus.STARTING, True),
        (dg.DagsterRunStatus.STARTED, True),
        (dg.DagsterRunStatus.CANCELING, True),
        (dg.DagsterRunStatus.SUCCESS, False),
        (dg.DagsterRunStatus.FAILURE, False),
        (dg.DagsterRunStatus.CANCELED, False),
    ],
)
def test_in_flight_by_status(status: dg.DagsterRunStatus, expected: bool) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, job_name=JOB, status=status, remote_job_origin=_ORIGIN)
        create_run_for_test(instance, job_name="other", status=dg.DagsterRunStatus.STARTED)
        assert in_flight(instance, JOB) is expected


def test_abandoned_run_does_not_block_indefinitely() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.STARTED)
        assert in_flight(instance, JOB)
        assert not in_flight(instance, JOB, abandoned_after=timedelta(seconds=-5))


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING])
def test_waiting_run_blocks_for_as_long_as_it_waits(status: dg.DagsterRunStatus) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        create_run_for_test(instance, job_name=JOB, status=status, remote_job_origin=_ORIGIN)
        assert in_flight(instance, JOB, abandoned_after=timedelta(seconds=-5))


def test_run_that_failed_to_start_is_not_repeated_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.STARTING)
        instance.report_run_failed(run, "timed out while starting")
        result = tick(instance, None, WORK, 100.0)
        assert isinstance(result, dg.SkipReason)
        assert "could not be started" in (result.skip_message or "")
        monkeypatch.setattr("assets.runs_in_flight.PAUSE_AFTER_FAILED_START", timedelta())
        assert isinstance(tick(instance, None, WORK, 100.0), dg.SensorResult)


def tick(
    instance: dg.DagsterInstance, cursor: str | None, work: Sequence[bytes], now: float
) -> Tick:
    return request_run(dg.build_sensor_context(instance=instance, cursor=cursor), JOB, work, now)


def test_nothing_due(instance: dg.DagsterInstance) -> None:
    assert isinstance(tick(instance, None, [], 1000.0), dg.SkipReason)


def test_one_run_serves_all_that_is_due(instance: dg.DagsterInstance) -> None:
    result = tick(instance, None, WORK, 1000.0)
    assert isinstance(result, dg.SensorResult)
    assert result.run_requests is not None
    assert len(result.run_requests) == 1
    assert result.run_requests[0].run_key is None
    assert result.run_requests[0].tags["zmart/due"] == "2"
    burst = tick(instance, None, [n.to_bytes(32, "big") for n in range(500)], 1000.0)
    assert isinstance(burst, dg.SensorResult)
    assert len(burst.run_requests or []) == 1
    assert len(burst.cursor or "") < 200


def test_same_work_is_requested_again_only_after_a_pause(instance: dg.DagsterInstance) -> None:
    first = tick(instance, None, WORK, 1000.0)
    assert isinstance(first, dg.SensorResult)
    reordered = WORK[::-1]
    early, late = 1000.0 + FIRST_PAUSE - 0.1, 1000.0 + FIRST_PAUSE
    assert isinstance(tick(instance, first.cursor, reordered, early), dg.SkipReason)
    assert isinstance(tick(instance, first.cursor, reordered, late), dg.SensorResult)
    assert isinstance(tick(instance, first.cursor, [*WORK, b"c"], 1000.0), dg.SensorResult)


def test_pauses_double_up_to_the_last() -> None:
    requested, now, pauses = RequestCursor(), 1000.0, []
    for _ in range(8):
        requested = requested.after_request("x", now)
        pauses.append(requested.pause("x", now))
        now += pauses[-1]
        assert requested.pause("x", now) == 0
    assert pauses == [5, 10, 20, 40, LAST_PAUSE, LAST_PAUSE, LAST_PAUSE, LAST_PAUSE]
    assert requested.after_request("y", now).pause("y", now) == FIRST_PAUSE


@pytest.mark.parametrize("cursor", ["", "{", "[]", "null", "7", '{"requested_at": "x"}'])
def test_a_malformed_cursor_counts_as_none(instance: dg.DagsterInstance, cursor: str) -> None:
    assert isinstance(tick(instance, cursor, WORK, 1000.0), dg.SensorResult)


def test_a_clock_set_back_does_not_silence(instance: dg.DagsterInstance) -> None:
    first = tick(instance, None, WORK, 9e9)
    assert isinstance(first, dg.SensorResult)
    assert isinstance(tick(instance, first.cursor, WORK, 1000.0), dg.SensorResult)


def test_no_second_run_beside_the_first(instance: dg.DagsterInstance) -> None:
    create_run_for_test(instance, job_name=JOB, status=dg.DagsterRunStatus.STARTED)
    assert isinstance(tick(instance, None, WORK, 1000.0), dg.SkipReason)


@skip_on_outage("event-indexer")
def works(context: dg.SensorEvaluationContext, backend: Backend) -> Tick:
    return dg.SensorResult(cursor="moved")


@skip_on_outage("event-indexer")
def chain_away(context: dg.SensorEvaluationContext, backend: Backend) -> Tick:
    raise RpcUnavailable("no answer from http://127.0.0.1:1")


@skip_on_outage("event-indexer")
def reads(context: dg.SensorEvaluationContext, backend: Backend) -> Tick:
    with backend.engine(Role.READ).connect() as conn:
        conn.execute(select(heartbeats))
    return dg.SensorResult(cursor="moved")


@skip_on_outage("event-indexer")
def wrong(context: dg.SensorEvaluationContext, backend: Backend) -> Tick:
    raise KeyError("ours")


def backend_of(database: str) -> Backend:
    return Backend(Settings(**login_settings(database)))


def test_tick_records_its_errors_and_no_success(database: str, owner: Engine) -> None:
    backend = backend_of(database)
    context = dg.build_sensor_context()
    result = works(context, backend)
    assert isinstance(result, dg.SensorResult)
    assert result.cursor == "moved"
    with owner.connect() as conn:
        assert conn.execute(select(heartbeats)).all() == [], "a tick is not finished work"
    skipped = chain_away(context, backend)
    assert isinstance(skipped, dg.SkipReason)
    with owner.connect() as conn:
        row = conn.execute(select(heartbeats)).one()
    assert (row.service, row.last_success_at) == ("event-indexer", None)
    assert "RpcUnavailable" in row.last_error


def test_unreachable_database_skips_the_tick_without_showing_its_password() -> None:
    port = unused_port()
    backend = backend_of(f"postgresql://user:geheim@127.0.0.1:{port}/none")
    result = reads(dg.build_sensor_context(cursor="kept"), backend)
    assert isinstance(result, dg.SkipReason)
    assert "Postgres is unreachable" in (result.skip_message or "")
    assert "geheim" not in (result.skip_message or "")
    both = chain_away(dg.build_sensor_context(), backend)
    assert isinstance(both, dg.SkipReason)


def test_defect_fails_the_tick(database: str) -> None:
    with pytest.raises(KeyError):
        wrong(dg.build_sensor_context(), backend_of(database))


def test_broken_statement_is_a_defect_not_an_outage(database: str) -> None:
    @skip_on_outage()
    def broken(context: dg.SensorEvaluationContext, backend: Backend) -> Tick:
        with backend.engine(Role.READ).connect() as conn:
            conn.exec_driver_sql("SELECT nothing FROM nowhere")
        return dg.SkipReason("unreachable")

    with pytest.raises(Exception, match="nowhere"):
        broken(dg.build_sensor_context(), backend_of(database))


def test_unreachable_node_costs_one_short_attempt(database: str) -> None:
    nowhere = f"http://127.0.0.1:{unused_port()}"
    backend = Backend(Settings(**login_settings(database), solana_rpc_url=nowhere))
    assert isinstance(backend.sensor_rpc, RpcClient)
    with pytest.raises(RpcUnavailable):
        backend.sensor_rpc.slot("confirmed")


def test_texts_have_one_line_and_no_statement(owner: Engine) -> None:
    with pytest.raises(Exception, match="nowhere") as caught, owner.connect() as conn:
        conn.exec_driver_sql("SELECT secret FROM nowhere")
    text = explain(caught.value)
    assert "\n" not in text
    assert "SELECT" not in text


def test_engines_are_shared_by_role(database: str) -> None:
    backend = backend_of(database)
    assert backend.engine(Role.READ) is backend.engine(Role.READ)
    assert backend.engine(Role.READ) is not backend.engine(Role.INGEST)
