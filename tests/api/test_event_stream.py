"""The live updates as Server-Sent Events, from a process of its own."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from api.realtime.event_stream import encode
from api.realtime.outgoing import Outgoing, json_message
from api.realtime.reader import Batch
from tests.api import seed
from tests.api.running_api import RunningApi, running
from tests.api.signing_in import sign_in
from tests.api.test_market_channels import trade_up
from tests.api.test_stream import CHANNEL, MARKET, OTHER, PRICES, TRADES, append_frames
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.stream import Frame, market_channel, wallet_channel

SSE = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, br"}


class Event(NamedTuple):
    """An event as a browser dispatches it: with the last id that came before its end."""

    type: str
    last_id: str
    message: dict[str, Any]


class Events:
    """Reads events as the standard says."""

    def __init__(self) -> None:
        self.last_id = ""

    def read(self, lines: Iterator[str]) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in lines:
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
                continue
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                yield Event(fields["event"], self.last_id, json.loads(fields["data"]))
            fields = {}


@contextlib.contextmanager
def events(
    api: RunningApi, *channels: str, **headers: str
) -> Iterator[tuple[httpx.Response, Iterator[Event]]]:
    """An open stream: its response and its events."""
    with httpx.stream(
        "GET",
        f"{api.url}/api/stream",
        params={"channel": channels},
        headers=SSE | headers,
        timeout=60,
    ) as response:
        assert response.status_code == 200, response.read()
        yield response, Events().read(response.iter_lines())


@pytest.fixture
def api(api_settings: Settings, tmp_path: Path) -> Iterator[RunningApi]:
    """A running API with frequent heartbeats."""
    settings = api_settings.model_copy(
        update={"ws_heartbeat_seconds": 0.5, "api_stalled_seconds": 1}
    )
    with running(settings, tmp_path) as made:
        yield made


def test_events_resume_after_the_last_id(api: RunningApi, ledger: Engine) -> None:
    channels = (CHANNEL, market_channel(OTHER), TRADES)
    with events(api, *channels) as (response, received):
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert "content-encoding" not in response.headers
        assert "content-length" not in response.headers
        opening = [next(received) for _ in channels]
        assert [one.type for one in opening] == ["subscribed"] * 3
        assert all("snapshot" in one.message["data"] for one in opening)
        (first,) = append_frames(ledger, 1)
        frames = [_next_frame(received) for _ in range(2)]
        assert [one.message["channel"] for one in frames] == [CHANNEL, TRADES]
        assert [(one.type, one.last_id) for one in frames] == [
            ("trade", str(first - 1)),
            ("trade", str(first)),
        ]
    (second,) = append_frames(ledger, 2, market=OTHER)
    with events(api, *channels, **{"Last-Event-ID": str(first)}) as (_, received):
        assert "snapshot" not in next(received).message["data"]
        (third,) = append_frames(ledger, 3, type_="vote")
        frames = [_next_frame(received) for _ in range(2)]
        assert [one.last_id for one in frames] == [str(second), str(third)]


def test_stream_that_resumes_begins_with_the_newest_prices(api: RunningApi, ledger: Engine) -> None:
    """The position may be that of a frame that was sent before the prices after it."""
    with ledger.begin() as conn:
        seed.market(conn, MARKET, shares_yes=5)
    last = trade_up(ledger, 2)[-1]
    with events(api, CHANNEL, PRICES, **{"Last-Event-ID": str(last)}) as (_, received):
        state = next(one for one in received if one.type == "prices")
    assert (state.message["seq"], state.message["data"]["q_yes"]) == (last, 7)


def _next_frame(received: Iterator[Event]) -> Event:
    return next(one for one in received if "prev" in one.message)


def test_heartbeats_have_the_heads_and_move_the_id(api: RunningApi, ledger: Engine) -> None:
    with events(api, CHANNEL) as (_, received):
        (head,) = append_frames(ledger, 1)
        (other,) = append_frames(ledger, 2, market=OTHER)
        frame = _next_frame(received)
        assert frame.last_id == str(head)
        beats = [one for one, _ in zip(_heartbeats(received), range(3), strict=False)]
        assert beats[-1].message["data"]["heads"] == {CHANNEL: head}
        # What the id of a heartbeat says reaches the client with the next event.
        assert beats[-1].last_id == str(other)


def _heartbeats(received: Iterator[Event]) -> Iterator[Event]:
    return (one for one in received if one.type == "heartbeat")


def test_head_request_has_no_body(api: RunningApi) -> None:
    answer = httpx.head(f"{api.url}/api/stream?channel=markets", headers=SSE, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == b""


def test_streams_and_polls_end_when_the_process_stops(api: RunningApi, ledger: Engine) -> None:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(events(api, CHANNEL)) for _ in range(3)]
        for _, received in opened:
            assert next(received).type == "subscribed"
        address = ("127.0.0.1", api.settings.api_port)
        poll = stack.enter_context(socket.create_connection(address, timeout=60))
        query = f"/api/stream?channel={CHANNEL}&after=0&wait=25"
        poll.sendall(f"GET {query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert api.process is not None
        api.process.send_signal(signal.SIGTERM)
        for _, received in opened:
            # A response that is cut raises here.
            assert {one.type for one in received} <= {"heartbeat"}
        # A page without frames; an error where the process stopped before it had read the stream.
        assert re.search(rb"HTTP/1.1 (200|503) .*}$", _read_all(poll), re.DOTALL)
        assert api.process.wait(60) in (0, -signal.SIGTERM)
    assert "Traceback" not in api.log.read_text()


def _read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_private_stream_ends_with_its_session(api: RunningApi, ledger: Engine) -> None:
    wallet = seed.wallet(1)
    with httpx.Client(base_url=api.url, timeout=60) as client:
        session = sign_in(client, wallet)
        bearer = {"Authorization": f"Bearer {session['access_token']}"}
        channel = wallet_channel(bytes(wallet.pubkey()))
        with events(api, channel, CHANNEL, **bearer) as (_, received):
            with ledger.begin() as conn:
                stream.append(conn, [Frame(channel, "claim", {"n": 1})])
            assert _next_frame(received).message["data"] == {"n": 1}
            path = f"/api/auth/sessions/{session['session']}"
            assert client.delete(path, headers=bearer).status_code == 200
            last = [one for one in received if one.type != "heartbeat"]
    assert [(one.type, one.message["channel"]) for one in last] == [("unsubscribed", channel)]
    assert last[0].message["data"]["reason"] == "session_ended"


def test_a_client_that_does_not_read_is_dropped(api: RunningApi, ledger: Engine) -> None:
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.settimeout(60)
    stalled.connect(("127.0.0.1", api.settings.api_port))
    request = f"GET /api/stream?channel={CHANNEL} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream"
    stalled.sendall(f"{request}\r\n\r\n".encode())
    assert b"200 OK" in stalled.recv(1024)
    filler = "x" * 500_000
    with events(api, CHANNEL) as (_, received):
        for number in range(20):
            with ledger.begin() as conn:
                stream.append(conn, [Frame(CHANNEL, "trade", {"n": number, "filler": filler})])
            assert _next_frame(received).message["data"]["n"] == number
        # Dropped, though the client has not read yet what the kernel holds for it.
        deadline = time.monotonic() + 60
        while not _is_reset(stalled):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    stalled.close()


def _is_reset(connection: socket.socket) -> bool:
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET


_messages = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=12).map(
    lambda steps: [
        json_message("trade", json.dumps({"position": position, "copy": copy}).encode(), position)
        for position, copies in _positions(steps)
        for copy in range(copies)
    ]
)


def _positions(steps: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    position = 1
    for step, copies in steps:
        position += step
        yield position, copies


@given(messages=_messages, cut=st.integers(0, 40))
def test_nothing_is_lost_where_a_stream_is_cut(messages: list[Outgoing], cut: int) -> None:
    """Whoever goes on from the last id gets all that is left; only the cut frame comes again."""
    text = encode(Batch(messages, None))
    reader = Events()
    received = []
    lines = iter(text.split("\n"))
    for _, event in zip(range(cut), reader.read(lines), strict=False):
        received.append(event.message)
    last = int(reader.last_id or 0)
    replayed = [one for one in messages if one.seq is not None and one.seq > last]
    all_of_them = [json.loads(one.text) for one in messages]
    again = [json.loads(one.text) for one in replayed]
    assert len(received) + len(again) >= len(all_of_them)
    assert all_of_them[len(all_of_them) - len(again) :] == again
    # Only copies of the one frame that the cut has split come again.
    doubled = [one for one in received if one in again]
    assert len({one["position"] for one in doubled}) <= 1


def test_quiet_channels_move_the_id() -> None:
    beat = json_message("heartbeat", b"{}")
    frame = json_message("trade", b"{}", 5)
    assert encode(Batch([frame, beat], 9)).endswith("\n\nid: 9\n\n")
    assert encode(Batch([beat, frame], 9)).count("id:") == 1
    assert "id:" not in encode(Batch([beat], None))
    assert encode(Batch([], 9)) == ""
