"""One trace from a webhook delivery to the frame of a socket, also over two processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, select

from api.app import create_app
from tests.api.conftest import SECRET
from tests.api.payloads import raw
from tests.fixtures.spans import Memory, Seen, path_of
from tests.ledger.recorded_rpc import PROGRAM, Recorder
from zmart_pipelines import tracing
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.readers import deliveries, delivery_traces
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.ops import stream

URL = "/api/webhooks/helius"
WHOLE = ["webhook delivery", "ledger ingest", "market materialization", "frame delivery"]


@pytest.fixture
def history() -> list[RawTransaction]:
    recorder = Recorder()
    market_id = recorder.create(1)
    recorder.open(market_id)
    recorder.buy(market_id, recorder.users[0])
    return recorder.transactions


@pytest.fixture
def client(api_settings: Settings) -> Iterator[TestClient[Litestar]]:
    with TestClient(create_app(api_settings)) as client:
        yield client


def body(history: list[RawTransaction]) -> bytes:
    return json.dumps([raw(one) for one in history]).encode()


def deliver(client: TestClient[Litestar], content: bytes) -> int:
    headers = {
        "Authorization": SECRET,
        "Content-Type": "application/json",
        "X-Request-Id": "followed-request",
    }
    answer = client.post(URL, content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["delivery"])


def frame_span(memory: Memory, position: int) -> Seen:
    """The span of the frame with this position; it is exported after the frame is sent."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for one in memory.seen:
            if one.name == "frame delivery" and one.attributes["zmart.position"] == position:
                return one
        time.sleep(0.02)
    raise AssertionError(f"no span of frame {position}")


def test_trace_goes_from_the_webhook_to_the_socket(
    memory: Memory, client: TestClient[Litestar], history: list[RawTransaction]
) -> None:
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        socket.send_json({"action": "subscribe", "channel": "markets"})
        socket.receive_json()
        delivery = deliver(client, body(history))
        received = socket.receive_json(timeout=30)
    frame = frame_span(memory, received["seq"])
    spans = memory.seen
    assert path_of(spans, frame) == WHOLE
    assert frame.attributes["zmart.channel"] == "markets"
    assert frame.attributes["zmart.clients"] == 1
    (first,) = (one for one in spans if one.name == WHOLE[0])
    assert first.trace == frame.trace
    assert first.attributes["zmart.delivery_id"] == delivery
    assert first.attributes["zmart.request_id"] == "followed-request"
    assert SECRET not in "".join(memory.spans_json)


def test_run_that_finishes_a_pending_delivery_goes_on_with_its_trace(
    memory: Memory, client: TestClient[Litestar], ledger: Engine, history: list[RawTransaction]
) -> None:
    content = body(history)
    with ledger.begin() as conn:
        delivery = deliveries.store_delivery(conn, content, transaction_count=len(history))
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        socket.send_json({"action": "subscribe", "channel": "markets"})
        socket.receive_json()
        deliveries.process_delivery(ledger, delivery, program=PROGRAM)
        received = socket.receive_json(timeout=30)
    frame = frame_span(memory, received["seq"])
    (ingest,) = (one for one in memory.seen if one.name == "ledger ingest")
    assert frame.trace == ingest.trace
    # What the API would have exported when it answered has the id that this span names as parent.
    delivery_traces.record_delivery(delivery, content, 1, transactions=len(history), pending=True)
    first = memory.seen[-1]
    assert (first.trace, first.span, first.parent) == (ingest.trace, ingest.parent, 0)


def test_deliveries_that_are_ingested_together_are_linked(
    memory: Memory, ledger: Engine, history: list[RawTransaction]
) -> None:
    parts = []
    for one in history[:2]:
        with ledger.begin() as conn:
            stored = deliveries.store_delivery(conn, body([one]), transaction_count=1)
        parts.append(deliveries.DeliveryPart(stored, [one], last=True))
    deliveries.ingest_parts(ledger, parts, program=PROGRAM)
    (ingest,) = (one for one in memory.seen if one.name == "ledger ingest")
    delivery_traces.record_delivery(
        parts[1].delivery_id, body(history[1:2]), 1, transactions=1, pending=False
    )
    second = memory.seen[-1]
    assert ingest.trace != second.trace
    assert ingest.links == ((second.trace, second.span),)


def test_frames_have_no_context_where_nothing_is_traced(
    ledger: Engine, history: list[RawTransaction]
) -> None:
    assert not tracing.is_on()
    with ledger.begin() as conn:
        delivery = deliveries.store_delivery(conn, body(history), transaction_count=3)
    deliveries.process_delivery(ledger, delivery, program=PROGRAM)
    with ledger.connect() as conn:
        contexts = conn.execute(select(stream.c.traceparent)).scalars().all()
    assert contexts
    assert set(contexts) == {None}
