"""Several API processes on the same ports, on one database and one Redis."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from api.realtime import protocol
from tests.api.running_api import RunningApi, running
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream import Frame, market_channel

MARKET = b"\xc3" * 32
PATIENCE = 90.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answering(url: str) -> str:
    """Which process the kernel chose for one request."""
    answer = httpx.get(f"{url}/health/live", timeout=PATIENCE, trust_env=False)
    return str(answer.raise_for_status().json()["process"])


@pytest.fixture
def two(api_settings: Settings, tmp_path: Path) -> Iterator[tuple[RunningApi, RunningApi]]:
    """Two processes on the same ports."""
    with ExitStack() as stack:
        made = []
        for number in (1, 2):
            update = {"api_processes": 2, "api_process": number}
            folder = tmp_path / str(number)
            folder.mkdir()
            made.append(
                stack.enter_context(running(api_settings.model_copy(update=update), folder))
            )
        yield made[0], made[1]


def subscribed(url: str) -> ClientConnection:
    made = connect(url)
    assert json.loads(made.recv(PATIENCE))["type"] == "welcome"
    made.send(json.dumps({"action": "subscribe", "market_id": MARKET.hex()}))
    assert json.loads(made.recv(PATIENCE))["type"] == "market_state"
    return made


def test_both_answer_and_deliver_and_one_goes_on_alone(
    two: tuple[RunningApi, RunningApi], ledger: Engine
) -> None:
    first, second = two
    seen: Counter[str] = Counter()
    until(lambda: bool(seen.update([answering(first.url)])) or len(seen) == 2)
    assert set(seen) == {"api", "api-2"}
    with ExitStack() as opened:
        # Of twenty sockets both have some, but for one case in half a million.
        sockets = [opened.enter_context(subscribed(first.socket_url())) for _ in range(20)]
        with ledger.begin() as conn:
            stream.append(conn, [Frame(market_channel(MARKET), "trade", {"n": 1})])
        assert [json.loads(made.recv(PATIENCE))["data"] for made in sockets] == [{"n": 1}] * 20
    first.stop(signal.SIGKILL)
    until(lambda: answering_or_none(first.url) == "api-2")
    assert {answering(first.url) for _ in range(20)} == {"api-2"}
    first.start()
    until(lambda: answering(first.url) == "api")
    assert "Traceback" not in first.log.read_text() + second.log.read_text()


def answering_or_none(url: str) -> str | None:
    """The same, while connections that a killed process had accepted may still fail."""
    try:
        return answering(url)
    except httpx.TransportError:
        return None


def test_port_of_a_single_process_is_not_shared(api_settings: Settings, tmp_path: Path) -> None:
    """A second process stops with an error instead of taking half of the connections."""
    with running(api_settings, tmp_path) as api:
        other_process = api.settings.model_copy(update={"api_processes": 2, "api_process": 2})
        for settings in (api.settings, other_process):
            other = RunningApi(settings, tmp_path / f"other-{settings.api_process}.log")
            with contextlib.suppress(RuntimeError):  # the running one may answer for it
                other.start()
            assert other.process is not None
            assert other.process.wait(PATIENCE) != 0
            assert "The API cannot listen on" in other.log.read_text()


def test_address_has_its_sockets_over_all_processes(api_settings: Settings, tmp_path: Path) -> None:
    limit = 3
    with ExitStack() as stack:
        apis = []
        for number in (1, 2):
            # Ports of their own, so that the test chooses the process.
            update = {
                "ws_connections_per_ip": limit,
                "api_process": number,
                "api_port": unused_port(),
                "ws_port": unused_port(),
            }
            folder = tmp_path / str(number)
            folder.mkdir()
            settings = Settings(**api_settings.model_dump() | update)
            apis.append(stack.enter_context(running(settings, folder)))
        one, other = apis
        first, *_ = [stack.enter_context(subscribed(api.socket_url())) for api in (one, one, other)]
        for api in apis:
            assert accepted(api) is None
        first.close()
        until(lambda: accepted(other, stack) is not None)
        assert accepted(other) is None
        # What a killed process had is free once it runs again.
        one.stop(signal.SIGKILL)
        one.start()
        until(lambda: accepted(other, stack) is not None)
        assert "Traceback" not in one.log.read_text() + other.log.read_text()


def accepted(api: RunningApi, keep: ExitStack | None = None) -> ClientConnection | None:
    """One more socket; None where there are too many."""
    made = connect(api.socket_url())
    with contextlib.suppress(ConnectionClosed):
        made.recv(PATIENCE)
    if made.close_code is not None:
        assert made.close_code == protocol.CLOSE_TOO_MANY
        return None
    if keep is None:
        made.close()
    else:
        keep.enter_context(made)
    return made
