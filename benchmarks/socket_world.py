"""What the socket benchmarks run on: API processes, their rival in Node, and one client.

All share the machine's cores without pinning, like the servers and loads of the read benchmarks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import httpx
import msgspec
import psutil
import psycopg
from redis import Redis
from sqlalchemy import Engine

from benchmarks.database import databases, writer
from benchmarks.node import FOLDER, installed_node
from benchmarks.processes import cpu_of, cpu_of_family, parent_of
from benchmarks.rows import RivalMissing
from benchmarks.socket_client import stamp
from tests.api.conftest import SIGNING_KEY
from tests.api.running_api import RunningApi
from tests.fixtures.redis import running_redis
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream import Frame, market_channel

MARKET: Final = b"\x5a" * 32
_CHANNEL: Final = market_channel(MARKET)
_SUBSCRIBE: Final = json.dumps({"action": "subscribe", "market_id": MARKET.hex()})
_PER_ADDRESS: Final = 10  # the default limit
_START_SECONDS: Final = 90
# A trade as the API sends it.
_TRADE: Final[dict[str, Any]] = {
    "id": "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZ:4",
    "market_id": MARKET.hex(),
    "user_wallet": "6ASf5EcmmEHTgDJ4X4ZT5vT6iHVJBXPg5AN5YoTCpGWt",
    "trade_type": "buy",
    "outcome": True,
    "outcome_label": "YES",
    "shares": 9007199254740993,
    "cost": 1000000000,
    "price_yes": 520000000,
    "price_after": 0.52,
    "block_time": "2026-11-20T08:00:00.000Z",
    "slot": 412345678,
    "commitment": "confirmed",
    "priceYes": 0.52,
    "priceNo": 0.48,
    "exact": {"shares": "9007199254740993", "cost": "1000000000"},
}


class Received(NamedTuple):
    """What the client got in a window; latencies in seconds, processor time of each part."""

    frames: int
    p50: float
    p99: float
    most: float
    server: float
    postgres: float
    client: float
    seconds: float

    @property
    def cpu(self) -> float:
        """Processor seconds of the server for one delivered frame."""
        return self.server / self.frames


class Client:
    """The process with the sockets."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, what: str, group: str, **arguments: Any) -> dict[str, Any]:
        """Execute a command for the sockets of one server and return its answer."""
        line = json.dumps({"do": what, "group": group, **arguments})
        requests, answers = (cast(IO[str], one) for one in self._pipes())
        requests.write(line + "\n")
        requests.flush()
        answer = answers.readline()
        if not answer:
            raise RuntimeError("the client of the benchmark ended")
        return cast(dict[str, Any], msgspec.json.decode(answer))

    def _pipes(self) -> tuple[IO[str] | None, IO[str] | None]:
        return self._process.stdin, self._process.stdout


class Server(NamedTuple):
    """A server of sockets.

    Attributes:
        publish: Makes it send a frame with the time of now to all subscribers.
    """

    name: str
    port: int
    pids: tuple[int, ...]
    publish: Callable[[], object]

    def cpu(self) -> float:
        """Return the processor seconds of its processes so far."""
        return sum(map(cpu_of, self.pids))

    def memory(self) -> int:
        """Return the bytes of memory of its processes."""
        return sum(psutil.Process(pid).memory_info().rss for pid in self.pids)


class SocketWorld:
    """A cluster, a Redis and a client, and the servers that were started on them."""

    def __init__(self, ledger: Engine, settings: Settings, folder: Path, client: Client) -> None:
        self._ledger = ledger
        self._settings = settings
        self._folder = folder
        self._stack = ExitStack()
        with ledger.connect() as conn:
            backend = conn.connection.driver_connection
            self.postgres = parent_of(cast(psycopg.Connection[Any], backend).info.backend_pid)
        self.client = client

    def api(self, processes: int = 1) -> Server:
        """Return an API of so many processes, which limits sockets and messages as always."""
        ports = {"api_port": unused_port(), "ws_port": unused_port(), "metrics_port": 0}
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        started = []
        for number in range(1, processes + 1):
            update = {"api_processes": processes, "api_process": number, **ports}
            settings = self._settings.model_copy(update=update)
            api = RunningApi(settings, folder / f"{settings.api_process_name}.log")
            self._stack.callback(_kill, api)
            api.start()
            _wait_for(api.url, settings.api_process_name)
            started.append(cast(subprocess.Popen[bytes], api.process).pid)
        return Server("API", ports["ws_port"], tuple(started), self._append)

    def _append(self) -> None:
        with self._ledger.begin() as conn:
            stream.append(conn, [Frame(_CHANNEL, "trade", {**_TRADE, "stamp": stamp()})])
        stream.publish(self._settings.redis_url.get_secret_value())

    def node(self, sample: str) -> Server:
        """Return a server with ``ws`` that sends frames like ``sample``, but of now.

        Raises:
            RivalMissing: Node is not available, or the server did not start.
        """
        port, redis = unused_port(), self._settings.redis_url.get_secret_value()
        process = subprocess.Popen(
            [installed_node(), FOLDER / "ws_server.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"NODE_ENV": "production"},
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        requests, answers = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        requests.write(json.dumps({"port": port, "redis": redis, "channel": _CHANNEL}))
        requests.close()
        if not answers.readline():
            raise RivalMissing("the server with ws did not start")
        connection = self._stack.enter_context(Redis.from_url(redis))
        before, _, rest = sample.partition('"stamp":')
        after = rest[len(str(stamp())) :]

        def publish() -> None:
            connection.publish(_CHANNEL, f'{before}"stamp":{stamp()}{after}')

        return Server("Node ws", port, (process.pid,), publish)

    def connect(self, server: Server, sockets: int) -> None:
        """Open sockets that subscribe to the market."""
        self.client.do(
            "connect",
            server.name,
            port=server.port,
            sockets=sockets,
            per_address=_PER_ADDRESS,
            command=_SUBSCRIBE,
        )

    def sample(self, server: Server) -> str:
        """Return a frame as the client of ``server`` receives it."""
        server.publish()
        self._await_frames(server, 1)
        return str(self.client.do("sample", server.name)["text"])

    def measure(self, server: Server, sockets: int, rate: float, seconds: float) -> Received:
        """Publish frames at a steady rate and return what the sockets got of them.

        Raises:
            AssertionError: Frames were lost, or sockets closed.
        """
        self.client.do("take", server.name)
        number, began = int(rate * seconds), time.monotonic()
        before = (server.cpu(), cpu_of_family(self.postgres))
        client_before = self.client.do("take", server.name)["cpu"]
        for index in range(number):
            time.sleep(max(0.0, began + index / rate - time.monotonic()))
            server.publish()
        taken = self._await_frames(server, number * sockets)
        return Received(
            frames=taken["frames"],
            p50=taken["p50"] / 1e9,
            p99=taken["p99"] / 1e9,
            most=taken["max"] / 1e9,
            server=server.cpu() - before[0],
            postgres=cpu_of_family(self.postgres) - before[1],
            client=taken["cpu"] - client_before,
            seconds=time.monotonic() - began,
        )

    def _await_frames(self, server: Server, expected: int) -> dict[str, Any]:
        deadline = time.monotonic() + _START_SECONDS
        while (count := self.client.do("count", server.name))["frames"] < expected:
            if count["closed"] or time.monotonic() > deadline:
                raise AssertionError(f"{server.name}: {count}, expected {expected} frames")
            time.sleep(0.05)
        taken = self.client.do("take", server.name)
        if taken["frames"] != expected or taken["closed"]:
            raise AssertionError(f"{server.name}: {taken}, expected {expected} frames")
        return taken

    def close(self) -> None:
        """Stop the servers."""
        self._stack.close()


def _kill(api: RunningApi) -> None:
    if api.process is not None:
        api.process.kill()
        api.process.wait()


def _wait_for(url: str, name: str) -> None:
    """Wait until the process of this name answers; the kernel chooses who answers a request."""
    deadline = time.monotonic() + _START_SECONDS
    while httpx.get(f"{url}/health/live", timeout=30, trust_env=False).json()["process"] != name:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} does not answer at {url}")


@contextmanager
def socket_world() -> Iterator[SocketWorld]:
    """Yield a world whose Postgres syncs its WAL, as in the product."""
    with (
        tempfile.TemporaryDirectory(prefix="zmart-sockets-") as name,
        databases(durable=True) as cluster,
        cluster.fresh() as url,
        running_redis(Path(name)) as redis,
        writer(url) as ledger,
        _client() as client,
    ):
        settings = Settings(
            **login_settings(url),
            redis_url=redis.url(),
            zmart_state=Path(name) / "state",
            # No frame needs the chain.
            solana_rpc_url=f"http://127.0.0.1:{unused_port()}",
            auth_signing_key=SIGNING_KEY,
            api_connections=8_000,
        )
        world = SocketWorld(ledger, settings, Path(name), client)
        try:
            yield world
        finally:
            world.close()


@contextmanager
def _client() -> Iterator[Client]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.socket_client"],
        cwd=FOLDER.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()
