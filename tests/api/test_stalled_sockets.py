"""Sockets that ask for missed frames and do not read them: bounded memory, and they are dropped."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
from sqlalchemy import Engine

from api.realtime import protocol
from tests.api.running_api import running
from tests.api.stalled_reader import HANG, stalled_reader
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream import Frame, market_channel

MARKET = b"\xab" * 32
SOCKETS = 100
FRAMES = 300
FILLER = "x" * 4000
MEGABYTE = 1 << 20


def rest(made: socket.socket, after: float) -> bytes:
    """What a client gets that starts to read after so many seconds."""
    time.sleep(after)
    made.settimeout(5)
    received = b""
    try:
        while data := made.recv(1 << 20):
            received = received[-200:] + data
    except TimeoutError:  # it began to read before it was seen to stall
        made.close()
    except ConnectionError:
        pass
    return received


def test_stalled_readers_hold_little_memory_and_are_dropped_with_a_remedy(
    api_settings: Settings, ledger: Engine, tmp_path: Path
) -> None:
    for _ in range(FRAMES // 100):
        with ledger.begin() as conn:
            channel = market_channel(MARKET)
            stream.append(conn, [Frame(channel, "trade", {"x": FILLER}) for _ in range(100)])
    settings = Settings(
        **api_settings.model_dump()
        | {
            # Too few for the second wave unless the sockets of the first have been given back.
            "ws_connections_per_ip": SOCKETS * 3 // 2,
            "api_stalled_seconds": 3,
            "ws_replay_bytes_per_minute": 1000 * MEGABYTE,  # the queues alone must hold
        }
    )
    with running(settings, tmp_path) as api, ExitStack() as opened:
        assert api.process is not None
        server = psutil.Process(api.process.pid)
        before = server.memory_info().rss

        def sockets() -> int:
            ports = [one.laddr.port for one in server.net_connections("tcp") if one.raddr]
            return ports.count(settings.ws_port)

        def wave() -> tuple[int, list[bytes]]:
            """The most memory while they are open, and what some got that read late."""
            made = [
                opened.enter_context(stalled_reader(settings.ws_port, MARKET))
                for _ in range(SOCKETS)
            ]
            late = ThreadPoolExecutor(8)
            answers = [late.submit(rest, one, 3.0 + number) for number, one in enumerate(made[:8])]
            peak, deadline = before, time.monotonic() + HANG
            while sockets() > 0:
                assert time.monotonic() < deadline
                assert httpx.get(f"{api.url}/health", timeout=HANG).status_code == 200
                peak = max(peak, server.memory_info().rss)
                time.sleep(0.1)
            return peak, [answer.result() for answer in answers]

        close = protocol.CLOSE_SLOW.to_bytes(2, "big") + protocol.SLOW_REASON.encode()
        first_peak, received = wave()
        assert first_peak - before < 50 * MEGABYTE
        assert any(close in answer for answer in received)
        # What was held for them is used again: further waves need no more memory.
        assert wave()[0] - first_peak < 10 * MEGABYTE
        assert "Traceback" not in api.log.read_text()
