"""The processes of a running system that drills stop and kill."""

import contextlib
import signal
import time
from collections.abc import Iterator

import psutil
import redis
from sqlalchemy import Connection

from assets.run_workers import FORK_SERVER_NAME
from tests.fixtures.control_plane import stored_settings
from tests.fixtures.processes import command_line, process_name
from tests.fixtures.running_system import RunningSystem
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine


def kill(pid: int) -> None:
    psutil.Process(pid).kill()


def fork_server(system: RunningSystem) -> psutil.Process:
    """The process that run workers are forked from."""
    (found,) = [
        child
        for child in psutil.Process(system.pid("code-server")).children()
        if process_name(child) == FORK_SERVER_NAME or "forkserver" in command_line(child)
    ]
    return found


def await_run_worker(system: RunningSystem) -> psutil.Process:
    """The process of the next Dagster run; short runs end within half a second."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        workers = fork_server(system).children()
        if workers:
            return workers[0]
        time.sleep(0.02)
    raise AssertionError("no run started within 120 s")


def kill_run_worker(system: RunningSystem) -> None:
    await_run_worker(system).kill()


def kill_fork_server_during_a_run(system: RunningSystem) -> None:
    await_run_worker(system)
    fork_server(system).kill()


def all_of_postgres(system: RunningSystem) -> list[psutil.Process]:
    """The postmaster and its backends."""
    return [process for process in system.processes() if process_name(process) == "postgres"]


def kill_all_of_postgres(system: RunningSystem) -> None:
    send(all_of_postgres(system), signal.SIGKILL)


def parts(system: RunningSystem, name: str) -> list[psutil.Process]:
    """Return the processes to stop for a part: one of the supervised ones, or a part of one."""
    match name:
        case "fork-server":
            return [fork_server(system)]
        case "run-worker":
            return [await_run_worker(system)]
        case "postgres":
            return all_of_postgres(system)
        case "postmaster":
            return [psutil.Process(system.pid("postgres"))]
        case "postgres-backends":
            return [one for one in all_of_postgres(system) if "idle" in command_line(one)]
        case _:
            return [psutil.Process(system.pid(name))]


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to those that still run."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def flush_redis(system: RunningSystem) -> None:
    """Delete everything in Redis."""
    with redis.Redis.from_url(stored_settings(system)["REDIS_URL"]) as client:
        client.flushall()


@contextlib.contextmanager
def acting(system: RunningSystem, role: Role) -> Iterator[Connection]:
    """A transaction as one of the system's roles, which is committed."""
    made = engine(role, Settings.model_validate({role.setting: system.login(role)}))
    with made.begin() as conn:
        yield conn
    made.dispose()
