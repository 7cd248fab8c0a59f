"""The supervisor behind ``zmart up``.

It starts each process when its dependencies are ready, restarts it with increasing delay when
it ends, and stops all processes at once, but the servers that they use last. No process is left
behind, not even after a SIGKILL: see ``zmart_pipelines.runtime.leftover_processes``.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from zmart_pipelines.runtime import leftover_processes
from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.runtime.log_files import LogFile, Retention
from zmart_pipelines.runtime.os_accounts import Account
from zmart_pipelines.runtime.ports import Port, require_free
from zmart_pipelines.runtime.readiness import Probe
from zmart_pipelines.runtime.state_folder import StateFolder, private_opener

TICK = 0.1  # seconds between two checks of the processes
FIRST_DELAY, LONGEST_DELAY = 0.5, 15.0  # seconds before a restart
HEALTHY_AFTER = 30.0  # seconds of running that reset the restart delay
ROTATION_TICKS = 600  # ticks between two checks of the logs' sizes
REPORT_SECONDS = 30.0  # seconds between two lines about a process that is not ready yet
KILL_PATIENCE = 60.0  # seconds that a killed process may take to end
START_ATTEMPTS = 3  # failed starts of a process that was never ready; then startup fails


@dataclass(frozen=True)
class Process:
    """One program to keep running, or to run once.

    Attributes:
        needs: names of the processes that must be ready before it starts.
        once: the process runs once and is ready when it has ended with code 0.
        echo: its output lines are printed to the user.
        stops_last: the others use it until they have ended.
        fatal_codes: exit codes after which a restart would not help.
        prepare: runs before each start.
        when_ready: runs when it is ready for the first time.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    needs: tuple[str, ...] = ()
    ready: Probe | None = None
    ready_within: float = 60.0
    once: bool = False
    echo: bool = False
    stops_last: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 5.0
    fatal_codes: frozenset[int] = frozenset()
    account: Account | None = None
    ports: tuple[Port, ...] = ()
    prepare: Callable[[], None] | None = None
    when_ready: Callable[[], None] | None = None


class AlreadyRunning(RuntimeError):
    """Another supervisor runs on this state folder; the message names its pid and addresses."""

    def __init__(self, pid: int, addresses: Mapping[str, str]) -> None:
        self.pid = pid
        self.addresses = dict(addresses)
        where = "".join(f"\n  {name:<10}{url}" for name, url in self.addresses.items())
        super().__init__(f"already running: pid {pid}{where}")


class StartupFailed(RuntimeError):
    """A process never became ready; the message names its log."""


class Lock:
    """The lock of a supervisor on its state folder; the file contains its pid and addresses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self, addresses: Mapping[str, str]) -> None:
        """Acquire the lock and write our pid and addresses.

        Raises:
            AlreadyRunning: another process holds it.
        """
        file = open(self._path, "a+", opener=private_opener)  # noqa: SIM115 - closed by release
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            pid, where = lock_holder(self._path) or (0, {})
            raise AlreadyRunning(pid, where) from None
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "addresses": dict(addresses)}, file)
        file.flush()
        self._file = file

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.close()
            self._file = None


def lock_holder(path: Path) -> tuple[int, dict[str, str]] | None:
    """Return pid and addresses of the running supervisor; ``None`` when none runs."""
    try:
        with path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read()
            else:
                return None
    except OSError:
        return None
    try:
        record = json.loads(text)
        return int(record["pid"]), dict[str, str](record["addresses"])
    except (ValueError, KeyError, TypeError):
        return 0, {}


@dataclass
class _Child:
    process: Process
    log: LogFile
    pid_file: leftover_processes.PidFile
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    running: subprocess.Popen[bytes] | None = None
    been_ready: bool = False
    log_start: int = 0


def _ended_fatally(child: _Child) -> bool:
    """Return whether the child ended with a code that a new start cannot change."""
    ended = child.running
    return ended is not None and ended.returncode in child.process.fatal_codes


class Supervisor:
    """Keeps a set of processes running until it receives a signal."""

    def __init__(
        self,
        processes: Sequence[Process],
        state: StateFolder,
        *,
        addresses: Mapping[str, str],
        say: Callable[[str], None],
        server_homes: Sequence[Path] = (),
        logs: Retention | None = None,
    ) -> None:
        """Create a supervisor; start nothing yet.

        Args:
            addresses: written to the lock file, for other commands.
            say: prints a line to the user.
            server_homes: further folders whose servers belong to this state folder.
            logs: how long the processes' logs are kept.
        """
        self._state = state
        self._addresses = dict(addresses)
        self._say = say
        self._homes = (state.root, *server_homes)
        self._children = {
            p.name: _Child(
                p,
                LogFile(state.logs / f"{p.name}.log", logs),
                leftover_processes.PidFile(state.run / f"{p.name}.json"),
            )
            for p in processes
        }
        self._stop = asyncio.Event()
        self._failure: Exception | None = None

    async def run(self, when_up: Callable[[], None] | None = None) -> None:
        """Start everything, call ``when_up`` once all is ready, and run until a signal.

        Raises:
            AlreadyRunning: another supervisor runs; nothing was started.
            PortsInUse: a port is in use; nothing was started.
            StartupFailed: a process does not start; everything was stopped.
        """
        self._state.prepare()
        lock = Lock(self._state.lock)
        lock.acquire(self._addresses)
        loop = asyncio.get_running_loop()
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            signals.append(signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._stop.set)
        try:
            self._stop_leftovers("left by an earlier run")
            self._state.restarts.unlink(missing_ok=True)
            require_free([port for c in self._children.values() for port in c.process.ports])
            await self._supervise(when_up)
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
            lock.release()
        if self._failure is not None:
            raise self._failure

    async def _supervise(self, when_up: Callable[[], None] | None) -> None:
        keepers = [
            asyncio.create_task(self._keep(c), name=c.process.name) for c in self._children.values()
        ]
        helpers = [
            asyncio.create_task(self._announce(when_up)),
            asyncio.create_task(self._follow_logs()),
        ]
        try:
            await self._stop.wait()
        finally:
            for task in (*keepers, *helpers):
                task.cancel()
            results = await asyncio.gather(*keepers, *helpers, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception) and self._failure is None:
                    self._failure = result
            await self._stop_all()

    async def _announce(self, when_up: Callable[[], None] | None) -> None:
        for child in self._children.values():
            await child.ready.wait()
        if when_up is not None:
            when_up()

    async def _keep(self, child: _Child) -> None:
        """Start a child and restart it whenever it ends."""
        try:
            for name in child.process.needs:
                await self._children[name].ready.wait()
            delay, failures = FIRST_DELAY, 0
            while True:
                started = time.monotonic()
                if await self._run_once(child):
                    return
                failures += not child.been_ready
                if not child.been_ready and (failures >= START_ATTEMPTS or _ended_fatally(child)):
                    raise StartupFailed(
                        f"{child.process.name} could not be started, so everything was "
                        f"stopped; its log: {child.log.path}"
                    )
                if time.monotonic() - started > HEALTHY_AFTER:
                    delay = FIRST_DELAY
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_DELAY)
        except Exception as error:
            self._failure = self._failure or error
            self._stop.set()

    async def _run_once(self, child: _Child) -> bool:
        """Run a child until it ends. Return True if it was to run once and succeeded."""
        process = child.process
        if process.prepare is not None:
            process.prepare()
        child.log_start = child.log.size()
        with child.log.open() as output:
            running = start(
                process.command,
                environment={**process.environment, leftover_processes.MARK: str(self._state.root)},
                folder=process.folder,
                output=output,
                account=process.account,
                death_signal=process.stop_signal,
            )
        child.running = running
        child.pid_file.write(running.pid)
        began = time.monotonic()
        deadline, next_report = began + process.ready_within, began + REPORT_SECONDS
        ready = False
        while running.poll() is None:
            if not ready and process.ready is not None and await process.ready():
                if process.when_ready is not None and not child.been_ready:
                    process.when_ready()
                ready = child.been_ready = True
                child.ready.set()
            elif not ready and time.monotonic() > deadline:
                self._say(f"{process.name} was not ready within {process.ready_within:.0f} s")
                await self._stop_child(child)
                break
            elif not ready and process.ready is not None and time.monotonic() > next_report:
                next_report += REPORT_SECONDS
                waited = time.monotonic() - began
                self._say(f"waiting for {process.name} since {waited:.0f} s; log: {child.log.path}")
            await asyncio.sleep(TICK)
        child.pid_file.remove()
        if process.once and running.returncode == 0:
            child.ready.set()
            return True
        child.ready.clear()
        self._say(self._exit_report(child))
        self._record_restart(child)
        return False

    def _record_restart(self, child: _Child) -> None:
        """Tell the watchdog that the process ended and is started again."""
        code = child.running.returncode if child.running else None
        line = json.dumps({"process": child.process.name, "at": time.time(), "code": code})
        with open(self._state.restarts, "a", opener=private_opener) as file:
            file.write(f"{line}\n")

    def _exit_report(self, child: _Child) -> str:
        code = child.running.returncode if child.running else None
        how = f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"code {code}"
        tail = "".join(f"\n    {line}" for line in child.log.tail(5, since=child.log_start))
        return f"{child.process.name} ended ({how}); log: {child.log.path}{tail}"

    async def _follow_logs(self) -> None:
        for tick in itertools.count():
            for child in self._children.values():
                self._echo(child)
                if tick % ROTATION_TICKS == 0:
                    child.log.rotate()
            await asyncio.sleep(TICK)

    def _echo(self, child: _Child) -> None:
        if child.process.echo:
            for line in child.log.new_lines():
                self._say(line)

    async def _stop_all(self) -> None:
        """Ask all processes to stop at once, and the servers that they use once they have ended.

        One after the other would add up: each may need seconds on a busy machine.
        """
        children = list(self._children.values())
        servers = [child for child in children if child.process.stops_last]
        users = [child for child in children if not child.process.stops_last]
        await asyncio.gather(*(self._stop_child(child) for child in users))
        # Processes that the stopped ones started must end while the database still runs.
        self._stop_leftovers("still running", keep={c.running.pid for c in servers if c.running})
        await asyncio.gather(*(self._stop_child(child) for child in servers))
        self._stop_leftovers("still running")

    async def _stop_child(self, child: _Child) -> None:
        running = child.running
        if running is None or running.poll() is not None:
            child.pid_file.remove()
            return
        with suppress(ProcessLookupError):
            running.send_signal(child.process.stop_signal)
        for _ in range(int(child.process.stop_within / TICK)):
            if running.poll() is not None:
                break
            await asyncio.sleep(TICK)
        if running.poll() is None:
            self._say(f"{child.process.name} did not stop in time and was killed")
            # What it started may be in groups of its own, as the backends of Postgres are.
            started = leftover_processes.descendants(running.pid)
            running.kill()
            await asyncio.to_thread(leftover_processes.kill, started)
            # A process that waits for a disk ends when that has answered.
            await asyncio.to_thread(running.wait, KILL_PATIENCE)
        child.pid_file.remove()

    def _stop_leftovers(self, why: str, keep: Collection[int] = ()) -> None:
        """Stop the processes of our state folder, except ``keep`` and their descendants."""
        files = [leftover_processes.PidFile(path) for path in self._state.run.glob("*.json")]
        found = [
            process
            for process in leftover_processes.find(files, str(self._state.root), self._homes)
            if leftover_processes.lineage(process).isdisjoint(keep)
        ]
        if found:
            names = ", ".join(f"{leftover_processes.name(p)} ({p.pid})" for p in found)
            self._say(f"stopping processes {why}: {names}")
            leftover_processes.end(found, patience=3)
        if not keep:
            for file in files:
                file.remove()
