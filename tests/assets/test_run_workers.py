"""Run workers forked from a warm process: their hazards, with real processes."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import forkserver
from pathlib import Path

import dagster as dg
import psutil
import psycopg
import pytest
from psycopg import sql

from assets.run_lanes import NICENESS, Lane
from assets.run_worker_preload import LAZY_MODULES
from assets.run_workers import FORK_SERVER_NAME
from tests.assets import slow_definitions
from tests.assets.dagster_internals import DagsterGrpcClient, DagsterUserCodeUnreachableError
from tests.fixtures.code_server import CodeServer, code_server
from tests.fixtures.processes import command_line, process_name
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.store.engine import Role

# Seconds; generous, because other tests run beside these.
PATIENCE = 120.0
pytestmark = pytest.mark.timeout(600)
COMMAND = ("assets.code_server",)
DEFINITIONS = "tests.assets.slow_definitions"


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with a folder for each run, with a file for each process that executes its body."""
    folder = tmp_path_factory.mktemp("traces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(slow_definitions.TRACES, str(folder))
        yield folder


@pytest.fixture(scope="module")
def server(module_database: str, traces: Path) -> Iterator[CodeServer]:
    with code_server(module_database, COMMAND, DEFINITIONS) as running:
        yield running


def bodies(traces: Path, run_id: str) -> list[int]:
    """Processes that have executed the body of a run."""
    return sorted(int(file.name) for file in (traces / run_id).glob("*"))


def status(server: CodeServer, run_id: str) -> dg.DagsterRunStatus:
    run = server.instance.get_run_by_id(run_id)
    assert run
    return run.status


def succeeded(server: CodeServer, run_id: str) -> bool:
    return status(server, run_id) is dg.DagsterRunStatus.SUCCESS


def fork_server_of(server: CodeServer) -> psutil.Process:
    (found,) = [
        child
        for child in psutil.Process(server.pid).children()
        if process_name(child) == FORK_SERVER_NAME or "forkserver" in command_line(child)
    ]
    return found


def test_multiprocessing_still_keeps_the_fork_server_in_the_replaced_attributes() -> None:
    names = {"_forkserver_address", "_forkserver_alive_fd", "_forkserver_pid"}
    assert names <= set(forkserver.ForkServer.ensure_running.__code__.co_names)
    assert names <= set(vars(forkserver._forkserver))


def test_fork_server_shares_the_memory_of_the_code_server(server: CodeServer) -> None:
    """The definitions are imported once; two imports would be two copies."""
    memory = fork_server_of(server).memory_full_info()
    assert memory.uss < memory.rss / 2


@pytest.mark.parametrize("name", LAZY_MODULES)
def test_preloaded_modules_exist(name: str) -> None:
    assert importlib.util.find_spec(name)


def test_fork_server_has_one_thread_and_no_connection(server: CodeServer, traces: Path) -> None:
    run_id = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, run_id))
    fork_server = fork_server_of(server)
    assert fork_server.num_threads() == 1
    assert fork_server.net_connections(kind="inet") == []
    (worker,) = bodies(traces, run_id)
    assert psutil.Process(worker).ppid() == fork_server.pid


def test_background_runs_give_way_to_others(server: CodeServer, traces: Path) -> None:
    niceness = {}
    for job in ("slow_job", "reconcile"):
        run_id = server.launch_in_background(job)
        wait_until(partial(bodies, traces, run_id))
        niceness[job] = psutil.Process(bodies(traces, run_id)[0]).nice()
    own = psutil.Process(server.pid).nice()
    assert niceness == {
        "slow_job": own,
        "reconcile": min(19, own + NICENESS[Lane.BACKGROUND]),
    }


def test_body_ends_with_a_killed_fork_server(server: CodeServer, traces: Path) -> None:
    """Dagster reports FAILURE at once; then nothing of the run may continue."""
    run_id = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, run_id))
    (worker,) = bodies(traces, run_id)
    os.kill(fork_server_of(server).pid, signal.SIGKILL)
    wait_until(lambda: not is_running(worker))
    wait_until(lambda: status(server, run_id) is dg.DagsterRunStatus.FAILURE)
    next_run = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, next_run))


def test_failure_does_not_mean_that_the_body_has_stopped(server: CodeServer, traces: Path) -> None:
    """A worker that stands still past its time is given up; it continues when it may.

    Nothing may read FAILURE as "stopped". What must not happen is a second body of the run.
    """
    run_id = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, run_id))
    (worker,) = bodies(traces, run_id)
    os.kill(worker, signal.SIGSTOP)
    try:
        run = server.instance.get_run_by_id(run_id)
        assert run
        server.instance.report_run_failed(run, "no sign of life")  # as run monitoring does
        client = DagsterGrpcClient(port=server.port, host="127.0.0.1")
        assert '"success": true' in client.start_run(server.start_request(run_id))
        traced = lines(traces, run_id)
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_until(lambda: lines(traces, run_id) > traced)
    wait_until(lambda: not is_running(worker))
    assert bodies(traces, run_id) == [worker]
    assert lines(traces, run_id) == slow_definitions.STEPS


def test_worker_that_stands_still_can_be_killed(server: CodeServer, traces: Path) -> None:
    run_id = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, run_id))
    (worker,) = bodies(traces, run_id)
    os.kill(worker, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: status(server, run_id) is dg.DagsterRunStatus.FAILURE)
    assert bodies(traces, run_id) == [worker]


@pytest.mark.parametrize("fate", [signal.SIGCONT, signal.SIGKILL])
def test_fork_server_that_stands_still_starts_each_run_at_most_once(
    server: CodeServer, traces: Path, fate: signal.Signals
) -> None:
    """A run is delivered to it again while its first delivery waits."""
    fork_server = fork_server_of(server)
    run_id = server.create_run("slow_job")
    request = server.start_request(run_id)
    fork_server.suspend()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            DagsterGrpcClient(port=server.port, host="127.0.0.1").start_run, request
        )
        # The second delivery is answered only once the first has claimed the run.
        wait_until(lambda: is_claimed(server, run_id))
        again = DagsterGrpcClient(port=server.port, host="127.0.0.1").start_run(request)
        assert '"success": true' in again
        assert bodies(traces, run_id) == []
        os.kill(fork_server.pid, fate)
        failure = first.exception(PATIENCE)
    if fate is signal.SIGCONT:
        assert failure is None
        wait_until(lambda: succeeded(server, run_id))
    else:
        assert isinstance(failure, DagsterUserCodeUnreachableError)
    assert len(bodies(traces, run_id)) == (fate is signal.SIGCONT)
    next_run = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, next_run))


def is_claimed(server: CodeServer, run_id: str) -> bool:
    with psycopg.connect(login_settings(server.database_url)[Role.READ.setting]) as conn:
        found = conn.execute("SELECT 1 FROM ops.run_claims WHERE run_id = %s", (run_id,))
        return found.fetchone() is not None


def lines(traces: Path, run_id: str) -> int:
    """Steps of a run's body so far, in all processes."""
    return sum(len(file.read_text().splitlines()) for file in (traces / run_id).glob("*"))


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_terminated_run_is_canceled(server: CodeServer, traces: Path) -> None:
    run_id = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, run_id))
    assert server.instance.run_launcher.terminate(run_id)
    wait_until(lambda: status(server, run_id) is dg.DagsterRunStatus.CANCELED)


def test_canceling_a_worker_that_stands_still_holds_up_nothing(
    server: CodeServer, traces: Path
) -> None:
    """It cannot notice that it is canceled; other runs are started meanwhile."""
    run_id = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, run_id))
    (worker,) = bodies(traces, run_id)
    os.kill(worker, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(server.instance.run_launcher.terminate, run_id)
            wait_until(lambda: status(server, run_id) is dg.DagsterRunStatus.CANCELING)
            next_run = server.launch_in_background("slow_job")
            wait_until(lambda: bodies(traces, next_run))
            assert asked.result(PATIENCE)
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_until(lambda: status(server, run_id) is dg.DagsterRunStatus.CANCELED)


def test_crash_is_reported_although_postgres_was_away(
    postgres_server: PostgresServer, server: CodeServer, traces: Path
) -> None:
    run_id = server.launch_in_background("slow_job")
    wait_until(lambda: bodies(traces, run_id))
    (worker,) = bodies(traces, run_id)
    os.kill(worker, signal.SIGSTOP)
    with database_away(postgres_server, server.database_url.rpartition("/")[2]):
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: "cannot look for dead run workers" in server.log.read_text())
    wait_until(lambda: status(server, run_id) is dg.DagsterRunStatus.FAILURE)


@contextmanager
def database_away(postgres: PostgresServer, name: str) -> Iterator[None]:
    """Refuse all logins to the database, and end its connections."""
    with psycopg.connect(postgres.url("postgres", SUPERUSER), autocommit=True) as conn:
        database = sql.Identifier(name)
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))


def test_server_stops_although_its_parent_ignored_sigint(module_database: str) -> None:
    """As a shell does for a job in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with code_server(module_database, COMMAND, DEFINITIONS) as running:
            process = psutil.Process(running.pid)
            process.terminate()
            wait_until(lambda: not is_running(running.pid))
    finally:
        signal.signal(signal.SIGINT, before)


def test_run_delivered_twice_at_once_is_executed_once(
    module_database: str, server: CodeServer, traces: Path
) -> None:
    """Four deliveries of each run at the same moment, to two code servers."""
    with code_server(module_database, COMMAND, DEFINITIONS) as other:
        run_ids = [server.create_run("slow_job") for _ in range(4)]
        clients = [
            DagsterGrpcClient(port=one.port, host="127.0.0.1") for one in (server, other) * 2
        ]
        for run_id in run_ids:
            request = server.start_request(run_id)
            with ThreadPoolExecutor(len(clients)) as pool:
                calls = [pool.submit(client.start_run, request) for client in clients]
                replies = [call.result() for call in calls]
            assert [reply for reply in replies if '"success": true' not in reply] == []
        for run_id in run_ids:
            wait_until(partial(succeeded, server, run_id))
            assert len(bodies(traces, run_id)) == 1
