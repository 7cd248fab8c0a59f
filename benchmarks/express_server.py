"""The rivals of the hot reads: Express servers in Node, on the API's database and Redis."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias

from benchmarks.node import FOLDER, installed_node
from benchmarks.read_server import ReadServer
from benchmarks.rows import RivalMissing
from zmart_pipelines.runtime.ports import unused_port

Reads: TypeAlias = Literal["plain", "memoised", "cached"]
_SCRIPT: Final = Path("express") / "server.mjs"


@contextmanager
def running_express(reads: Reads, database: str, redis: str, log: Path) -> Iterator[ReadServer]:
    """Yield a server that reads in one of the ways of ``express/*_reads.mjs``.

    Args:
        reads: Which reads.
        database: URL of a login that may read.
        redis: URL of the limiter's Redis.
        log: File for what the server reports.

    Raises:
        RivalMissing: Node is not available, or the server did not start.
    """
    port = unused_port()
    settings = {"reads": reads, "port": port, "database": database, "redis": redis}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [installed_node(), FOLDER / _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env={"NODE_ENV": "production"},
        )
    try:
        assert process.stdin is not None  # noqa: S101 - a pipe
        assert process.stdout is not None  # noqa: S101 - a pipe
        process.stdin.write(json.dumps(settings).encode())
        process.stdin.close()
        if not process.stdout.readline():
            raise RivalMissing(f"Express did not start: {log.read_text()[-500:]}")
        yield ReadServer(f"Express, {reads}", f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.kill()
        process.wait(30)
