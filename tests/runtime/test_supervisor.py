"""The supervisor with real, small processes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.runtime.toy_processes import TOY, toy
from zmart_pipelines.runtime import readiness
from zmart_pipelines.runtime.ports import Port, PortsInUse, unused_port
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.supervisor import (
    AlreadyRunning,
    Process,
    StartupFailed,
    Supervisor,
    lock_holder,
)

pytestmark = pytest.mark.process

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    return folder


def supervise(
    processes: list[Process], state: StateFolder, while_up: Callable[[], object]
) -> list[str]:
    """Run until up, call ``while_up``, stop by SIGTERM; return the printed lines."""
    said: list[str] = []

    async def scenario() -> None:
        supervisor = Supervisor(processes, state, addresses={"API": "a"}, say=said.append)
        up = asyncio.Event()
        running = asyncio.create_task(supervisor.run(when_up=up.set))
        waiting = asyncio.create_task(up.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await asyncio.to_thread(while_up)
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            waiting.cancel()
        await running

    asyncio.run(scenario())
    return said


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time limit"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def pids(diary: Path, name: str) -> list[int]:
    lines = diary.read_text().splitlines() if diary.exists() else []
    return [int(line.split()[2]) for line in lines if line.startswith(f"started {name} ")]


def test_starts_in_dependency_order_and_stops_servers_last(state: StateFolder) -> None:
    diary = state.root / "diary"
    needy = toy("third", diary, needs=("second",))
    server = toy("first", diary, stops_last=True)
    supervise([needy, toy("second", diary, needs=("first",)), server], state, lambda: None)
    events = [line.rsplit(" ", 1)[0] for line in diary.read_text().splitlines()]
    assert events[:3] == ["started first", "started second", "started third"]
    assert set(events[3:5]) == {"stopped second", "stopped third"}
    assert events[5:] == ["stopped first"]
    assert list(state.run.iterdir()) == []


def test_processes_are_asked_to_stop_at_once(state: StateFolder) -> None:
    """Each of these ends only after the other was asked, so that one after the other fails."""
    diary = state.root / "diary"
    code = TOY.replace(
        "    raise SystemExit(0)",
        "    while open(diary).read().count('stopped') < 2:\n        time.sleep(0.05)\n"
        "    raise SystemExit(0)",
    )
    processes = [
        toy("user", diary, needs=("used",), code=code, stop_within=30),
        toy("used", diary, code=code, stop_within=30),
    ]
    said = supervise(processes, state, lambda: None)
    assert [line for line in said if "did not stop in time" in line] == []


def test_files_are_readable_by_their_owner_alone(state: StateFolder) -> None:
    diary = state.root / "diary"
    code = "import os; os.makedirs(os.path.dirname(__import__('sys').argv[2]) + '/made/by')" + TOY
    open_to_others: list[str] = []

    def look() -> None:
        open_to_others.extend(
            str(path)
            for path in state.root.rglob("*")
            if not path.is_symlink() and path.stat().st_mode & 0o077
        )

    supervise([toy("writer", diary, code=code)], state, look)
    assert open_to_others == []


def test_files_of_an_earlier_version_are_closed_to_others(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    for folder in (state.logs, state.run, state.root / "dagster"):
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    for path in (state.logs / "api.log", state.run / "api.json", state.lock):
        path.write_text("{}")
        path.chmod(0o644)
    state.prepare()
    modes = {path.name: path.stat().st_mode & 0o777 for path in state.root.rglob("*")}
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}


def test_killed_process_is_restarted_and_reported(state: StateFolder) -> None:
    diary = state.root / "diary"

    def kill_and_wait() -> None:
        os.kill(pids(diary, "fragile")[0], signal.SIGKILL)
        wait_until(lambda: len(pids(diary, "fragile")) == 2)

    said = supervise([toy("fragile", diary)], state, kill_and_wait)
    assert any("fragile ended (killed by SIGKILL)" in line for line in said)


def test_process_that_never_starts_fails_the_startup(state: StateFolder) -> None:
    diary = state.root / "diary"
    broken = toy("broken", diary, code="print('no such table'); raise SystemExit(7)")
    with pytest.raises(StartupFailed, match="broken could not be started"):
        supervise([toy("sound", diary), broken], state, lambda: None)
    assert not alive(pids(diary, "sound")[0])


def test_fatal_exit_code_ends_the_start_at_once(state: StateFolder) -> None:
    said: list[str] = []
    diary = state.root / "diary"
    code = "print('unknown schema'); raise SystemExit(5)"
    fatal = toy("migrate", diary, code=code, fatal_codes=frozenset({5}))
    supervisor = Supervisor([fatal], state, addresses={}, say=said.append)
    with pytest.raises(StartupFailed, match="migrate could not be started"):
        asyncio.run(supervisor.run())
    assert len(said) == 1
    assert "unknown schema" in said[0]


def test_exit_code_and_log_of_a_failed_process_are_reported(state: StateFolder) -> None:
    said: list[str] = []
    diary = state.root / "diary"
    broken = toy("broken", diary, code="print('no such table'); raise SystemExit(7)")
    supervisor = Supervisor([broken], state, addresses={}, say=said.append)
    with pytest.raises(StartupFailed):
        asyncio.run(supervisor.run())
    assert "broken ended (code 7)" in said[0]
    assert said[0].count("no such table") == 1
    assert said[1].count("no such table") == 1


def test_one_time_step_must_succeed_before_its_dependents_start(state: StateFolder) -> None:
    diary = state.root / "diary"
    step = Process(
        name="step",
        command=[sys.executable, "-c", f"open({str(diary)!r}, 'a').write('step done\\n')"],
        environment=dict(os.environ),
        folder=state.root,
        once=True,
    )
    supervise([toy("user", diary, needs=("step",)), step], state, lambda: None)
    assert diary.read_text().splitlines()[0] == "step done"


def test_process_that_does_not_stop_is_killed(state: StateFolder) -> None:
    diary = state.root / "diary"
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[2], 'a').write(f'started deaf {os.getpid()}\\n')\n"
        "time.sleep(600)\n"
    )
    said = supervise([toy("deaf", diary, code=code, stop_within=0.5)], state, lambda: None)
    assert "deaf did not stop in time and was killed" in said
    assert not alive(pids(diary, "deaf")[0])


def test_port_in_use_is_reported_before_anything_starts(state: StateFolder) -> None:
    diary = state.root / "diary"
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        number = occupied.getsockname()[1]
        process = toy("server", diary, ports=(Port(number, "API_PORT", "the API"),))
        with pytest.raises(PortsInUse) as caught:
            supervise([process], state, lambda: None)
    assert f"port {number} (for the API) is in use" in str(caught.value)
    assert "API_PORT=" in str(caught.value)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert not diary.exists()


def test_free_port_is_accepted(state: StateFolder) -> None:
    port = Port(unused_port(), "API_PORT", "the API")
    supervise([toy("server", state.root / "diary", ports=(port,))], state, lambda: None)


@pytest.fixture
def supervisor_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in a process of its own, up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runtime.toy_processes", str(tmp_path / "state")],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(90)
    process.stdout.close()


def test_second_supervisor_reports_the_running_one(
    supervisor_process: subprocess.Popen[str], state: StateFolder
) -> None:
    assert lock_holder(state.lock) == (supervisor_process.pid, {"API": "http://x"})
    with pytest.raises(AlreadyRunning, match=rf"pid {supervisor_process.pid}\n  API +http://x"):
        supervise([], state, lambda: None)


def test_sigint_stops_children_and_grandchildren(
    supervisor_process: subprocess.Popen[str], state: StateFolder
) -> None:
    diary = state.root / "diary"
    wait_until(lambda: len(pids(diary, "grandchild")) == 1)
    everyone = [pids(diary, name)[0] for name in ("first", "second", "grandchild")]
    supervisor_process.send_signal(signal.SIGINT)
    assert supervisor_process.wait(90) == 0
    assert [pid for pid in everyone if alive(pid)] == []
    assert lock_holder(state.lock) is None


def test_start_after_sigkill_stops_leftover_processes(
    supervisor_process: subprocess.Popen[str], state: StateFolder
) -> None:
    diary = state.root / "diary"
    wait_until(lambda: len(pids(diary, "grandchild")) == 1)
    children = [pids(diary, name)[0] for name in ("first", "second")]
    grandchild = pids(diary, "grandchild")[0]
    supervisor_process.kill()
    supervisor_process.wait()
    # The kernel stops the children, but not the processes that they started.
    wait_until(lambda: not any(alive(pid) for pid in children))
    assert alive(grandchild)
    said = supervise([], state, lambda: None)
    assert str(grandchild) in said[0]
    assert not alive(grandchild)


# Not ready the first time, and deaf, with a backend in a group of its own, as Postgres has them;
# the second time it writes whether that backend has ended.
WITH_BACKEND = """
import os, signal, sys, time
name, path = sys.argv[1:3]
def note(what):
    with open(path, "a") as diary:
        diary.write(f"{what}\\n")
lines = open(path).read().split() if os.path.exists(path) else []
if lines:
    note("left" if os.path.exists(f"/proc/{lines[-1]}") else "gone")
    time.sleep(600)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    time.sleep(600)
os.setsid()
note(f"started backend {os.getpid()}")
time.sleep(600)
"""


def test_what_a_killed_process_started_has_ended_before_the_next_start(state: StateFolder) -> None:
    diary = state.root / "diary"

    def is_second() -> bool:
        return diary.exists() and not diary.read_text().split()[-1].isdigit()

    process = Process(
        name="server",
        command=[sys.executable, "-c", WITH_BACKEND, "server", str(diary)],
        environment=dict(os.environ),
        folder=state.root,
        ready=readiness.call(is_second),
        ready_within=5,
        stop_within=0.5,
    )
    said = supervise([process], state, lambda: None)
    assert "server did not stop in time and was killed" in said
    assert diary.read_text().split()[-1] == "gone"
