"""The API as its own process on free ports."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from zmart_pipelines.settings import Settings


class RunningApi:
    """One ``python -m api``, which may open ``files`` files."""

    def __init__(self, settings: Settings, log: Path, files: int | None = None) -> None:
        self.settings = settings
        self.url = f"http://127.0.0.1:{settings.api_port}"
        self.log = log
        self.limit = ("bash", "-c", f'ulimit -n {files} && exec "$@"', "-") if files else ()
        self.process: subprocess.Popen[bytes] | None = None

    def socket_url(self, path: str = "/") -> str:
        """Where older clients connect."""
        return f"ws://127.0.0.1:{self.settings.ws_port}{path}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = {**os.environ, **self.settings.environment()}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.limit, sys.executable, "-m", "api"],
                env=environment,
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[2],
            )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                httpx.get(f"{self.url}/health", timeout=2)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(self.log.read_text())

    def stop(self, signal_number: int) -> None:
        """Send the signal and wait for the process to end."""
        assert self.process is not None
        self.process.send_signal(signal_number)
        self.process.wait(90)


@contextmanager
def running(settings: Settings, folder: Path, *, files: int | None = None) -> Iterator[RunningApi]:
    """A running API, killed at the end."""
    api = RunningApi(settings, folder / "api.log", files)
    try:
        api.start()
        yield api
    finally:
        if api.process is not None and api.process.poll() is None:
            api.process.kill()
            api.process.wait(60)
