"""The process: two ports, sockets while Redis and the API are killed, shutdown."""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from redis import Redis
from sqlalchemy import Engine
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api.connections.connection_guard import CLOSING_SECONDS
from api.realtime import protocol
from tests.api.running_api import RunningApi, running
from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.redis import RedisServer, find_server
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream import Frame, market_channel

MARKET = b"\xaa" * 32
CHANNEL = market_channel(MARKET)
StartRedis = Callable[[], Any]
FRAMES = 2000
FILLER = "x" * 20_000


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[tuple[RedisServer, StartRedis]]:
    """A Redis that a test may kill and restart."""
    server = RedisServer(
        home=tmp_path / "redis", port=unused_port(), password="password", program=find_server()
    )
    server.prepare()
    processes = []

    def again() -> Any:
        with (tmp_path / "redis.log").open("ab") as log:
            process = start(server.command(), environment={}, folder=server.home, output=log)
        processes.append(process)
        deadline = time.monotonic() + 60
        while not server.answers():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    yield server, again
    for process in processes:
        process.kill()
        process.wait(60)


@pytest.fixture
def api(api_settings: Settings, tmp_path: Path) -> Iterator[RunningApi]:
    """A running API."""
    with running(api_settings, tmp_path) as made:
        yield made


def append_frame(ledger: Engine, number: int, **payload: Any) -> int:
    """Append one frame."""
    with ledger.begin() as conn:
        (position,) = stream.append(conn, [Frame(CHANNEL, "trade", {"n": number} | payload)])
    return position


def subscribed_socket(url: str, since: int | None = None, **options: Any) -> ClientConnection:
    """A socket subscribed to the market."""
    made = connect(url, **options)
    assert json.loads(made.recv(30))["type"] == "welcome"
    command = {"action": "subscribe", "market_id": MARKET.hex()}
    made.send(json.dumps(command if since is None else command | {"since": since}))
    assert json.loads(made.recv(30))["type"] == "market_state"
    return made


def test_two_ports_and_any_path_of_the_websocket_port(api: RunningApi, ledger: Engine) -> None:
    main = f"ws://127.0.0.1:{api.settings.api_port}"
    urls = [api.socket_url(), api.socket_url("/any/path?x=1"), f"{main}/ws", f"{main}/"]
    sockets = [subscribed_socket(url) for url in urls]
    append_frame(ledger, 1)
    for made in sockets:
        assert json.loads(made.recv(30))["data"] == {"n": 1}
        assert made.protocol.extensions == []
        made.close()
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{main}/elsewhere")
    assert refused.value.response.status_code == 403
    assert (
        httpx.get(f"http://127.0.0.1:{api.settings.ws_port}/health", timeout=60).status_code == 200
    )
    large = subscribed_socket(api.socket_url())
    large.send("x" * (16 * 1024 + 1))
    with pytest.raises(ConnectionClosed) as closed:
        large.recv(60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_stops_with_open_sockets(
    api: RunningApi, ledger: Engine, number: signal.Signals
) -> None:
    reader, stalled = subscribed_socket(api.socket_url()), subscribed_socket(api.socket_url())
    append_frame(ledger, 1)
    assert json.loads(reader.recv(60))["seq"] >= 1
    api.stop(number)
    with pytest.raises(ConnectionClosed) as closed:
        reader.recv(60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert api.process is not None
    assert api.process.returncode in (0, -number)
    assert "Traceback" not in api.log.read_text()
    stalled.close()


class Listener(threading.Thread):
    """A client that reconnects with ``since`` whenever it is disconnected."""

    def __init__(self, url: str, patience: float = 1e9) -> None:
        super().__init__(daemon=True)
        self.patience = patience
        self.url = url
        self.frames: list[dict[str, Any]] = []
        self.connections = 0
        self.wanted = 0

    def run(self) -> None:
        """Collect until ``wanted`` frames are there."""
        while not self._enough():
            try:
                last = self.frames[-1]["seq"] if self.frames else 0
                with subscribed_socket(self.url, last) as made:
                    self.connections += 1
                    until = time.monotonic() + random.uniform(0.2, 1.2) * self.patience
                    while not self._enough() and time.monotonic() < until:
                        self.frames.append(json.loads(made.recv(0.5)))
            except TimeoutError:
                continue
            except (OSError, ConnectionClosed, InvalidStatus):
                time.sleep(0.05)

    def _enough(self) -> bool:
        return 0 < self.wanted <= len(self.frames)


def test_no_frame_is_lost_or_duplicated_when_redis_and_the_api_fail(
    api_settings: Settings,
    ledger: Engine,
    tmp_path: Path,
    own_redis: tuple[RedisServer, StartRedis],
) -> None:
    server, start_redis = own_redis
    redis = start_redis()
    settings = Settings(**api_settings.model_dump() | {"redis_url": server.url()})
    sent = 0

    def write(number: int) -> None:
        nonlocal sent
        for _ in range(number):
            sent += 1
            append_frame(ledger, sent)
            stream.publish(server.url())

    with running(settings, tmp_path) as api:
        listeners = [Listener(api.socket_url()) for _ in range(3)]
        for listener in listeners:
            listener.start()
        write(50)
        with Redis.from_url(server.url()) as client:
            client.flushall()
            client.client_kill_filter(_type="pubsub")
        write(50)
        redis.send_signal(signal.SIGSTOP)
        write(3)
        redis.send_signal(signal.SIGCONT)
        write(50)
        redis.kill()
        redis.wait(60)
        write(50)
        redis = start_redis()
        write(50)
        api.stop(signal.SIGKILL)
        write(50)
        api.start()
        write(50)
        for listener in listeners:
            listener.wanted = sent
        for listener in listeners:
            listener.join(60)
            numbers = [frame["data"]["n"] for frame in listener.frames]
            assert numbers == list(range(1, sent + 1))
            # Other channels may have positions between them.
            positions = [frame["seq"] for frame in listener.frames]
            assert [frame["prev"] for frame in listener.frames] == [0, *positions[:-1]]
            assert listener.connections >= 2
        assert "Traceback" not in api.log.read_text()


@pytest.mark.slow
def test_reconnecting_clients_miss_and_duplicate_nothing(
    api_settings: Settings,
    ledger: Engine,
    tmp_path: Path,
    own_redis: tuple[RedisServer, StartRedis],
) -> None:
    server, start_redis = own_redis
    redis = start_redis()
    settings = Settings(**api_settings.model_dump() | {"redis_url": server.url()})
    total = 2000
    with running(settings, tmp_path) as api:
        listeners = [Listener(api.socket_url(), patience=1) for _ in range(8)]
        for listener in listeners:
            listener.wanted = total
            listener.start()
        for number in range(total):
            append_frame(ledger, number)
            stream.publish(server.url())
            # No client may fall so far behind that a reset would be due.
            behind = min(len(listener.frames) for listener in listeners)
            time.sleep(0.1 if number - behind > 300 else 0)
            if number % 700 == 600:
                redis.kill()
                redis.wait(60)
            elif number % 700 == 699:
                redis = start_redis()
            if number == total // 2:
                api.stop(signal.SIGKILL)
                api.start()
        for listener in listeners:
            listener.join(60)
            assert [frame["data"]["n"] for frame in listener.frames] == list(range(total))
            assert listener.connections > 3


def test_frame_arrives_by_notification_and_by_poll(
    api_settings: Settings,
    ledger: Engine,
    tmp_path: Path,
    own_redis: tuple[RedisServer, StartRedis],
) -> None:
    server, start_redis = own_redis
    redis = start_redis()
    settings = Settings(
        **api_settings.model_dump() | {"redis_url": server.url(), "stream_poll_seconds": 10}
    )
    with running(settings, tmp_path) as api, subscribed_socket(api.socket_url()) as made:
        time.sleep(0.5)

        def delay(number: int) -> float:
            append_frame(ledger, number)
            began = time.monotonic()
            stream.publish(server.url())
            assert json.loads(made.recv(60))["data"] == {"n": number}
            return time.monotonic() - began

        # The poll every ten seconds is not that quick three times out of five.
        assert sorted(delay(number) for number in range(5))[2] < 5
        redis.kill()
        redis.wait(60)
        delay(9)  # delivered by the poll
        start_redis()
        deadline = time.monotonic() + 90
        while sorted(delay(number) for number in range(3))[1] >= 5:
            assert time.monotonic() < deadline


def test_process_recovers_when_postgres_terminates_its_connections(
    api: RunningApi, ledger: Engine, postgres_server: PostgresServer
) -> None:
    with subscribed_socket(api.socket_url()) as made:
        positions = [append_frame(ledger, 1)]
        assert json.loads(made.recv(30))["seq"] == positions[0]
        name = str(ledger.url.database)
        with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
            cut = admin.execute(
                "SELECT count(pg_terminate_backend(pid, 30000)) FROM pg_stat_activity"
                " WHERE datname = %s AND application_name LIKE 'zmart_%%'",
                (name,),
            ).fetchone()
        assert cut is not None
        assert cut[0] > 0
        positions.append(append_frame(ledger, 2))
        frame = json.loads(made.recv(30))
        assert (frame["prev"], frame["seq"]) == tuple(positions)
    assert httpx.get(f"{api.url}/health", timeout=60).status_code == 200
    assert httpx.get(f"{api.url}/api/markets", timeout=60).status_code == 200


def stalled_client(port: int) -> socket.socket:
    """A socket that subscribes to the market and then does not read."""
    made = socket.create_connection(("127.0.0.1", port))
    made.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    made.settimeout(60)
    seen = b""
    while b"welcome" not in seen:
        seen += made.recv(4096)
    text = json.dumps({"action": "subscribe", "market_id": MARKET.hex()}).encode()
    made.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
    while b"Subscribed" not in seen:
        seen += made.recv(4096)
    return made


def flood(api: RunningApi, ledger: Engine) -> None:
    """Append many frames; one client reads them all."""
    with subscribed_socket(api.socket_url()) as reader:
        for batch in range(0, FRAMES, 100):
            frames = [Frame(CHANNEL, "trade", {"n": batch + n, "x": FILLER}) for n in range(100)]
            with ledger.begin() as conn:
                stream.append(conn, frames)
            for number in range(batch, batch + 100):
                assert json.loads(reader.recv(60))["data"]["n"] == number


def test_slow_client_is_closed_and_does_not_delay_others(api: RunningApi, ledger: Engine) -> None:
    stalled = stalled_client(api.settings.ws_port)
    began = time.monotonic()
    flood(api, ledger)
    # After CLOSING_SECONDS without reading the connection ends without a close frame.
    may_be_cut = time.monotonic() - began > CLOSING_SECONDS
    received, tail = 0, b""
    closing = protocol.CLOSE_SLOW.to_bytes(2, "big") + b"Client reads"
    try:
        while closing not in tail and (data := stalled.recv(1 << 20)):
            received, tail = received + len(data), tail[-100:] + data[-100:]
    except ConnectionResetError:
        assert may_be_cut
    assert closing in tail or may_be_cut
    assert received < FRAMES * len(FILLER) / 2
    stalled.close()


@pytest.mark.slow
def test_client_that_never_reads_is_dropped(api: RunningApi, ledger: Engine) -> None:
    stalled = stalled_client(api.settings.ws_port)
    own = stalled.getsockname()[1]
    flood(api, ledger)
    assert api.process is not None
    server = psutil.Process(api.process.pid)

    def connected() -> bool:
        return any(one.raddr and one.raddr.port == own for one in server.net_connections("tcp"))

    assert connected()
    deadline = time.monotonic() + 90
    while connected():
        assert time.monotonic() < deadline
        time.sleep(1)
    stalled.close()
