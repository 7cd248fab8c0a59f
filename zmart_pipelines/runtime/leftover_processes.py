"""Find and stop processes that an earlier supervisor left running.

A supervisor that is killed with SIGKILL cannot stop its children. The kernel signals the
processes that it started itself, but not their children (Dagster's run workers). Those are
identified in three ways: by a pid file with the start time of each child, by an environment
variable, and by the working folder, for servers that overwrite their environment and command
line.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from zmart_pipelines.runtime.state_folder import write_private

MARK = "ZMART_SUPERVISED"  # environment variable; its value is the state folder
SERVERS = ("postgres", "redis-server")


@dataclass(frozen=True)
class PidFile:
    """The process with a name: its pid and, because pids are reused, its start time."""

    path: Path

    def write(self, pid: int) -> None:
        """Record a process that was just started."""
        with suppress(psutil.NoSuchProcess):
            record = {"pid": pid, "started": psutil.Process(pid).create_time()}
            write_private(self.path, json.dumps(record))

    def process(self) -> psutil.Process | None:
        """Return the recorded process if it still runs."""
        try:
            record = json.loads(self.path.read_text())
            process = psutil.Process(record["pid"])
            if abs(process.create_time() - record["started"]) < 1 and is_running(process):
                return process
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            pass
        return None

    def remove(self) -> None:
        """Delete the record."""
        self.path.unlink(missing_ok=True)


def is_running(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def find(pid_files: Iterable[PidFile], mark: str, folders: Sequence[Path]) -> list[psutil.Process]:
    """Return the running processes of the state folder ``mark``, except us and our parents."""
    found = {p.pid: p for file in pid_files if (p := file.process()) is not None}
    for process in psutil.process_iter():
        if process.pid not in found and (
            _has_mark(process, mark) or _is_server_in(process, folders)
        ):
            found[process.pid] = process
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [p for p in found.values() if p.pid not in ours and is_running(p)]


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


def _is_server_in(process: psutil.Process, folders: Sequence[Path]) -> bool:
    try:
        if process.name() not in SERVERS:
            return False
        folder = Path(process.cwd())
    except (psutil.Error, OSError):
        return False
    return any(folder == home or home in folder.parents for home in folders)


def servers_in(folder: Path) -> list[psutil.Process]:
    """Return the database servers and their backends that run in a folder."""
    return [process for process in psutil.process_iter() if _is_server_in(process, [folder])]


def descendants(pid: int) -> list[psutil.Process]:
    """Return what a process has started, and what that has started."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(processes: Sequence[psutil.Process], patience: float = 10) -> None:
    """Kill the processes and wait up to ``patience`` seconds for their end."""
    for process in processes:
        with suppress(psutil.NoSuchProcess, PermissionError):
            process.kill()
    psutil.wait_procs(processes, timeout=patience)


def lineage(process: psutil.Process) -> set[int]:
    """Return the pids of a process and of all its living ancestors."""
    try:
        return {process.pid, *(parent.pid for parent in process.parents())}
    except psutil.NoSuchProcess:
        return {process.pid}


def end(processes: Sequence[psutil.Process], patience: float) -> None:
    """Terminate the processes; kill those that still run after ``patience`` seconds."""
    for process in processes:
        polite = signal.SIGINT if name(process) == "postgres" else signal.SIGTERM
        with suppress(psutil.NoSuchProcess, PermissionError):
            process.send_signal(polite)
    _, stubborn = psutil.wait_procs(processes, timeout=patience)
    kill(stubborn, 5)


def name(process: psutil.Process) -> str:
    """Return the process's name; empty when it has ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""
