"""The process under floods of connections and slow clients, where few files are allowed."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.connections.client_limit import ClientLimit
from api.connections.file_limit import allowed_connections, reserved_files
from api.realtime import protocol
from tests.api.conftest import SECRET
from tests.api.running_api import RunningApi, running
from zmart_pipelines.settings import Settings

HANG = 45.0
FILES = 256
HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/discussions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.fixture
def small_limits(api_settings: Settings) -> Settings:
    """Settings with deadlines that a test can wait for."""
    return Settings(
        **api_settings.model_dump()
        | {
            "api_head_seconds": 3,
            "api_body_seconds": 3,
            "api_body_bytes_per_second": 1000,
            "api_stalled_seconds": 2,
            "ws_connections_per_ip": 1000,
        }
    )


def open_socket(api: RunningApi, address: str = "127.0.0.1", sent: bytes = b"") -> socket.socket:
    """A connection from any address of the loopback network."""
    made = socket.create_connection(
        ("127.0.0.1", api.settings.api_port), timeout=HANG, source_address=(address, 0)
    )
    if sent:
        made.sendall(sent)
    return made


def is_answered(api: RunningApi, path: str, address: str = "127.0.0.1") -> int:
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(transport=transport, timeout=HANG, trust_env=False) as http:
        return http.get(f"{api.url}{path}").status_code


def seconds_until_closed(made: socket.socket, sent: bytes = b"") -> tuple[float, bytes]:
    """How long the server keeps the connection, and what it answered; a byte is sent at times."""
    began, answer = time.monotonic(), b""
    made.settimeout(0.5)
    while time.monotonic() - began < HANG:
        try:
            data = made.recv(65536)
        except TimeoutError:
            if sent:
                made.send(sent)
            continue
        except ConnectionError:
            data = b""
        if not data:
            return time.monotonic() - began, answer
        answer += data
    return float("inf"), answer


def addresses(number: int) -> list[str]:
    return [f"127.0.{index // 250 + 1}.{index % 250 + 1}" for index in range(number)]


def test_idle_connections_from_one_or_many_addresses_do_not_silence_the_api(
    small_limits: Settings, tmp_path: Path
) -> None:
    """More than there are files: the oldest that sent nothing are closed, requests are answered."""
    settings = Settings(**small_limits.model_dump() | {"api_connections_per_ip": 20})
    with running(settings, tmp_path, files=FILES) as api, ExitStack() as flood:
        allowed = FILES - reserved_files(settings)
        assert 64 <= allowed < FILES
        for address in [*addresses(FILES + 50), *["127.0.0.1"] * 50]:
            flood.enter_context(open_socket(api, address))
        for address in ("127.0.0.1", "127.9.9.9"):
            assert is_answered(api, "/health", address) == 200
            assert is_answered(api, "/api/markets", address) == 200
        assert api.process is not None
        assert len(list(Path(f"/proc/{api.process.pid}/fd").iterdir())) < FILES
        hook = httpx.post(
            f"{api.url}/api/webhooks/helius",
            content=b"[]",
            headers={"Authorization": SECRET, "Content-Type": "application/json"},
            timeout=HANG,
        )
        assert hook.status_code == 200
        assert "Traceback" not in api.log.read_text()


def test_with_every_place_busy_only_essential_requests_are_served(
    small_limits: Settings, tmp_path: Path
) -> None:
    settings = Settings(**small_limits.model_dump() | {"api_body_seconds": 60})
    with running(settings, tmp_path, files=FILES) as api, ExitStack() as flood:
        busy = POST + b"Content-Length: 10\r\n\r\n"
        made = [
            flood.enter_context(open_socket(api, address, busy)) for address in addresses(FILES)
        ]
        deadline = time.monotonic() + HANG
        while is_answered(api, "/api/markets", "127.9.9.9") != 503:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert is_answered(api, "/health", "127.9.9.9") == 200
        assert is_answered(api, "/api/webhooks/health", "127.9.9.9") == 200
        # Connections over the limit got a 503 and were closed.
        refused = 0
        for one in made:
            one.settimeout(0.01)
            try:
                refused += one.recv(100).startswith(b"HTTP/1.1 503") or 1
            except TimeoutError:
                continue
            except ConnectionError:
                refused += 1
        assert refused > FILES / 2
        assert "Traceback" not in api.log.read_text()


def slow_clients() -> list[tuple[str, bytes, bytes, bytes]]:
    """What they send at first, then every half second, and how the answer begins."""
    return [
        ("nothing", b"", b"", b""),
        ("head", HEAD, b"a", b"HTTP/1.1 408"),
        ("empty lines", b"\r\n", b"\r\n", b""),
        ("upgrade", UPGRADE, b"a", b"HTTP/1.1 408"),
        ("body", POST + b"Content-Length: 5000\r\n\r\n{", b" ", b"HTTP/1.1 408"),
        ("chunks", POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", b"HTTP/1.1 408"),
        (
            "body after the answer",
            b"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{",
            b" ",
            b"HTTP/1.1 404",
        ),
        ("endless head", HEAD + b"x: " + b"a" * 70_000, b"a", b"HTTP/1.1 431"),
    ]


def test_slow_clients_are_closed_in_time(small_limits: Settings, tmp_path: Path) -> None:
    """Slow heads, bodies and handshakes; and second requests of connections that were fine."""
    with running(small_limits, tmp_path) as api:
        results: dict[str, tuple[float, bytes]] = {}

        def hold(name: str, first: bytes, more: bytes, *, again: bool) -> None:
            with open_socket(api) as made:
                if again:
                    made.sendall(HEAD + b"\r\n")
                    while b"uptime" not in made.recv(65536):
                        pass
                    if not first:
                        return
                made.sendall(first)
                results[f"{name} {again}"] = seconds_until_closed(made, more)

        threads = [
            threading.Thread(target=hold, args=(name, first, more), kwargs={"again": again})
            for name, first, more, _ in slow_clients()
            for again in (False, True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * HANG)
        for name, _, _, begins in slow_clients():
            for again in (False, True):
                if name == "nothing" and again:
                    continue
                seconds, answer = results[f"{name} {again}"]
                assert seconds < HANG, name
                assert answer.startswith(begins), (name, again, answer)
        assert "Traceback" not in api.log.read_text()


def test_body_that_arrives_at_a_fair_rate_is_accepted(
    small_limits: Settings, tmp_path: Path
) -> None:
    with running(small_limits, tmp_path) as api, open_socket(api) as made:
        size = 12_000
        made.sendall(
            b"POST /api/discussions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % size
        )
        for _ in range(10):  # longer than API_BODY_SECONDS
            made.sendall(b" " * (size // 10))
            time.sleep(0.5)
        assert made.recv(100).startswith(b"HTTP/1.1 400")


def test_client_that_does_not_read_its_response_is_dropped(
    small_limits: Settings, tmp_path: Path
) -> None:
    with running(small_limits, tmp_path) as api, socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect(("127.0.0.1", api.settings.api_port))
        made.settimeout(HANG)
        # Requests for a large page until the server stops reading them.
        for _ in range(40):
            made.sendall(b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + HANG
        while made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_keep_alive_is_announced_shorter_than_it_is(api_settings: Settings, tmp_path: Path) -> None:
    """Requests after a pause succeed; the end of a connection is announced when the API stops."""
    with running(api_settings, tmp_path) as api:
        with httpx.Client(base_url=api.url, timeout=HANG, trust_env=False) as http:
            answer = http.get("/health")
            announced = int(answer.headers["keep-alive"].removeprefix("timeout="))
            assert announced + 10 == api_settings.api_keep_alive_seconds == 75
            closed = http.get("/health", headers={"Connection": "close"})
            assert "keep-alive" not in closed.headers
            assert closed.headers["connection"] == "close"
        with open_socket(api) as made:
            for pause in (6, 0):  # uvicorn's own limit is five seconds
                made.sendall(HEAD + b"\r\n")
                answered = b""
                while b"uptime" not in answered:
                    received = made.recv(65536)
                    assert received, "the connection was closed without notice"
                    answered += received
                time.sleep(pause)
            assert api.process is not None
            api.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            made.sendall(HEAD + b"\r\n")
            last = made.recv(65536).lower()
            assert b"connection: close" in last
            assert b"keep-alive" not in last
            api.process.wait(HANG)


def masked(opcode: int, data: bytes) -> bytes:
    """A frame as clients send it."""
    return bytes([opcode, 0x80 | len(data)]) + bytes(4) + data


@pytest.mark.parametrize(
    "frames", [masked(0x89, b"x") * 200, masked(0x01, b"x") + masked(0x00, b"") * 1200]
)
def test_floods_of_frames_that_the_app_never_sees_are_ended(
    api_settings: Settings, tmp_path: Path, frames: bytes
) -> None:
    with running(api_settings, tmp_path) as api, open_socket(api, sent=UPGRADE + b"\r\n") as made:
        while b"welcome" not in made.recv(65536):
            pass
        made.sendall(frames)
        seconds, answer = seconds_until_closed(made)
        assert seconds < HANG
        assert protocol.CLOSE_POLICY.to_bytes(2, "big") in answer
        assert "Traceback" not in api.log.read_text()


def test_requests_of_a_client_behind_a_proxy_are_limited() -> None:
    """Its connections are the proxy's, which belong to many clients."""
    waiting, refused, served = asyncio.Event(), [], []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        await waiting.wait()
        served.append(1)

    async def send(message: dict[str, Any]) -> None:
        refused.append(message.get("status"))

    async def scenario() -> None:
        limit = ClientLimit(app, 2)

        def request(host: str) -> asyncio.Task[None]:
            scope = {"type": "http", "client": (host, 1), "path": "/", "headers": []}
            return asyncio.create_task(limit(scope, None, send))

        tasks = [request("10.0.0.1") for _ in range(3)] + [request("10.0.0.2")]
        await tasks[2]
        assert refused[0] == 503
        waiting.set()
        await asyncio.gather(*tasks)
        await request("10.0.0.1")

    asyncio.run(scenario())
    assert len(served) == 4


def limited(files: int, monkeypatch: pytest.MonkeyPatch, hard: int | None = None) -> list[int]:
    raised: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, hard or files))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits[0]))
    return raised


def test_file_limit_is_raised_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    wanted = settings.api_connections + reserved_files(settings)
    raised = limited(1024, monkeypatch, hard=1_000_000)
    assert allowed_connections(settings) == settings.api_connections
    assert raised == [wanted]
    raised = limited(1024, monkeypatch)
    assert allowed_connections(settings) == 1024 - reserved_files(settings)
    assert raised == [1024]
    limited(128, monkeypatch)
    with pytest.raises(SystemExit, match="128 files"):
        allowed_connections(settings)
