"""A whole system of its own for a test: ``zmart up`` on free ports and a fresh state folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from tests.fixtures.ports import free_port
from zmart_pipelines.runtime.leftover_processes import MARK

PROJECT = Path(__file__).resolve().parents[2]
ZMART = [sys.executable, "-m", "zmart_pipelines.cli"]
PORTS = ("POSTGRES_PORT", "REDIS_PORT", "API_PORT", "WS_PORT", "DAGSTER_PORT", "CODE_SERVER_PORT")


def free_pair() -> int:
    """A free port whose successor is free too."""
    for _ in range(50):
        number = free_port()
        try:
            with socket_on(number + 1):
                return number
        except OSError:
            continue
    raise RuntimeError("no two neighbouring ports are free")


def socket_on(port: int) -> Any:
    """A bound socket, to find out whether a port is free."""
    import socket

    found = socket.socket()
    try:
        found.bind(("127.0.0.1", port))
    except OSError:
        found.close()
        raise
    return found


class RunningSystem:
    """``zmart up`` with its state folder; the folder outlives a stop and a new start."""

    def __init__(self, *options: str, **settings: str) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="zmart-up-"))
        self.state.chmod(0o711)  # the account of Postgres passes through it
        self.options = options
        self.environment = {
            **{name: value for name, value in os.environ.items() if "ZMART" not in name},
            **{name: str(free_port()) for name in PORTS},
            "LOCALNET_PORT": str(free_pair()),
            "ZMART_STATE": str(self.state),
            **settings,
        }
        self.output = self.state / "up.out"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that everything is up."""
        offset = self.output.stat().st_size if self.output.exists() else 0
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*ZMART, "up", *self.options],
                cwd=PROJECT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for(lambda: b"\nup:\n" in self.output.read_bytes()[offset:], 90, "not up")

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run ``zmart`` with these arguments against it."""
        return subprocess.run(
            [*ZMART, *arguments],
            cwd=PROJECT,
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def wait_for(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait; when it takes too long, fail with the last output."""
        deadline = time.monotonic() + seconds
        while not condition():
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{otherwise}\n{self.output.read_text()[-6000:]}")
            time.sleep(0.3)

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """Stop it as Ctrl-C would. Returns how many seconds it took."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(40)
        return time.monotonic() - started

    def discard(self) -> None:
        """End everything and remove the folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for left in self.processes():
            left.kill()
        shutil.rmtree(self.state, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs with this state folder's mark, or inside the folder."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get(MARK) == str(self.state)
                inside = process.name() in ("postgres", "redis-server") and Path(
                    process.cwd()
                ).is_relative_to(self.state)
            except (psutil.Error, OSError):
                continue
            if marked or inside:
                found.append(process)
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def pid(self, name: str) -> int:
        """The pid of a child by its name."""
        return int(json.loads((self.state / "run" / f"{name}.json").read_text())["pid"])

    @property
    def api(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.environment['API_PORT']}"

    def get(self, path: str) -> Any:
        """What the API answers."""
        return httpx.get(f"{self.api}{path}", timeout=10, trust_env=False).json()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the system's database, read with the owner's eyes."""
        addresses = json.loads((self.state / "environment").read_text())
        with psycopg.connect(addresses["DATABASE_URL"]) as connection:
            connection.execute("SET ROLE zmart_read")
            return connection.execute(statement.encode()).fetchall()

    def states(self) -> dict[str, int]:
        """How many markets are in each state, by the API; empty while it does not answer."""
        try:
            markets = self.get("/api/markets?limit=100")["markets"]
        except (httpx.HTTPError, ValueError, KeyError):
            return {}
        counts: dict[str, int] = {}
        for market in markets:
            counts[market["state"]] = counts.get(market["state"], 0) + 1
        return counts
