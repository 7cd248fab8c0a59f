"""Load on one HTTP server: connections that each send a request when the last is answered.

The generator is wrk (a package of Debian and Ubuntu, ``apt-get install wrk``). Where it is not
installed, autocannon in Node does the same at a higher cost of its own, which matters on few
cores; the rows say which one ran.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.node import run_node

_ANSWER_SECONDS: Final = 30  # after which a missing answer is an error
_SCRIPT: Final = Path(__file__).parent / "wrk.lua"


class Window(msgspec.Struct, frozen=True):
    """What one window of load gave; ``p50`` and ``p99`` are seconds of an answer."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def generator() -> str:
    """Return the name of the program that makes the load."""
    return "wrk" if shutil.which("wrk") else "autocannon"


def drive(
    url: str,
    paths: Sequence[str],
    seconds: float,
    connections: int,
    headers: Mapping[str, str],
) -> Window:
    """Request the paths in turn over open connections.

    Args:
        url: Origin of the server.
        paths: Paths with their queries.
        seconds: At least 1; both generators count in whole seconds.
        connections: Requests that wait for an answer at a time.
        headers: Of each request.

    Raises:
        RivalMissing: neither generator can run.
        RuntimeError: an answer was an error, or there was none.
    """
    whole = max(1, round(seconds))
    if generator() == "wrk":
        window = _wrk(url, paths, whole, connections, headers)
    else:
        request = {
            "url": url,
            "paths": paths,
            "seconds": whole,
            "connections": connections,
            "timeout": _ANSWER_SECONDS,
            "headers": dict(headers),
        }
        window = msgspec.convert(run_node("autocannon.mjs", request), Window)
    if window.errors or not window.requests:
        raise RuntimeError(f"{window.errors} errors in {window.requests} requests to {url}")
    return window


def _wrk(
    url: str, paths: Sequence[str], seconds: int, connections: int, headers: Mapping[str, str]
) -> Window:
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as file:
        file.write("\n".join(paths) + "\n")
        file.flush()
        done = subprocess.run(
            [
                *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s"),
                *(f"--header={name}: {value}" for name, value in headers.items()),
                *(f"--timeout={_ANSWER_SECONDS}s", "-s", _SCRIPT, url, "--", file.name),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 60,
        )
    if done.returncode:
        raise RuntimeError(f"wrk failed: {done.stdout} {done.stderr}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Window)
