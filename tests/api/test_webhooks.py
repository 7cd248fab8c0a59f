"""Deliveries: known senders only, committed before the answer, ingested exactly once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, text

from api.app import create_app
from tests.api.conftest import SECRET
from tests.api.payloads import mutated, raw
from tests.fixtures.ports import free_port
from tests.ledger.recorded import Recorder
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_helius
from zmart_pipelines.ledger import deliveries
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.settings import Settings

Client = TestClient[Litestar]
URL = "/api/webhooks/helius"
GOOD = {"Authorization": SECRET, "Content-Type": "application/json"}


@pytest.fixture
def history() -> list[RawTransaction]:
    """A market created, opened and traded in."""
    recorder = Recorder()
    market_id = recorder.create(1)
    recorder.open(market_id)
    for user in recorder.users[:3]:
        recorder.buy(market_id, user)
        recorder.pass_()
    return recorder.told


def body(transactions: list[RawTransaction]) -> list[dict[str, Any]]:
    """A raw Helius body."""
    return [raw(one) for one in transactions]


def deliver(client: Client, content: Any, headers: dict[str, str] | None = None) -> Any:
    """POST a body."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.post(URL, content=data, headers=GOOD if headers is None else headers)


def counts(db: Engine) -> dict[str, int]:
    """How many rows the tables that a delivery touches have."""
    names = ("chain.deliveries", "chain.transactions", "chain.events", "market.markets")
    with db.connect() as conn:
        return {
            name: conn.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in (*names, "market.trades", "ops.stream")
        }


def test_a_delivery_is_in_the_tables_when_it_is_answered(
    client: Client, ledger: Engine, history: list[RawTransaction]
) -> None:
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        socket.send_json({"action": "subscribe", "channel": "markets"})
        socket.receive_json()
        answer = deliver(client, body(history))
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["received"] is True
        assert told["transactions"] == len(history)
        assert told["newEvents"] == counts(ledger)["chain.events"] > 5
        assert told["pending"] is False
        (row,) = client.get("/api/markets").json()["markets"]
        assert (row["state"], row["trades_count"], row["commitment"]) == ("ACTIVE", 3, "reported")
        assert socket.receive_json(timeout=3)["type"] == "market_state"
    before = counts(ledger)
    again = deliver(client, body(history))
    assert (again.status_code, again.json()["newEvents"]) == (200, 0)
    after = counts(ledger)
    assert after.pop("chain.deliveries") == before.pop("chain.deliveries") + 1
    assert after == before


@pytest.mark.parametrize("path", ["/helius/webhook", "/webhooks/events"])
def test_older_paths_and_a_single_object_do_too(
    client: Client, history: list[RawTransaction], path: str
) -> None:
    answer = client.post(path, json=raw(history[0]), headers={"Authorization": SECRET})
    assert (answer.status_code, answer.json()["transactions"]) == (200, 1)


def test_both_secrets_do_while_one_is_being_replaced(
    api_settings: Settings, history: list[RawTransaction]
) -> None:
    settings = Settings(
        **api_settings.model_dump() | {"helius_webhook_secret_previous": "the one before"}
    )
    with TestClient(create_app(settings)) as client:
        for value in (SECRET, "the one before"):
            assert deliver(client, body(history), {"Authorization": value}).status_code == 200
        assert deliver(client, body(history), {"Authorization": "another"}).status_code == 401


def test_without_a_secret_nothing_is_accepted(
    api_settings: Settings, history: list[RawTransaction]
) -> None:
    settings = Settings(**api_settings.model_dump() | {"helius_webhook_secret": None})
    with TestClient(create_app(settings)) as client:
        for headers in ({}, {"Authorization": ""}, {"Authorization": "None"}):
            assert deliver(client, body(history), headers).status_code == 401
        assert client.get("/api/webhooks/health").json()["webhooks"] == "off"


def test_large_deliveries_are_finished_after_the_answer(
    api_settings: Settings, ledger: Engine, history: list[RawTransaction]
) -> None:
    settings = Settings(**api_settings.model_dump() | {"webhook_inline_transactions": 2})
    with TestClient(create_app(settings)) as client:
        told = deliver(client, body(history)).json()
        assert told["pending"] is True
        deadline = time.monotonic() + 10
        while counts(ledger)["chain.transactions"] < len(history):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    with ledger.connect() as conn:
        assert deliveries.pending(conn) == []


def test_what_fails_after_the_commit_stays_pending(
    client: Client,
    ledger: Engine,
    history: list[RawTransaction],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "ingest", broken)
        answer = deliver(client, body(history))
    assert (answer.status_code, answer.json()["pending"]) == (200, True)
    assert counts(ledger)["chain.transactions"] == 0
    with ledger.connect() as conn:
        (delivery,) = deliveries.pending(conn)
    deliveries.process(ledger, delivery, program=DEFAULT_PROGRAM_ID)
    assert counts(ledger)["chain.transactions"] == len(history)


def test_without_postgres_the_sender_is_told_to_try_again(
    api_settings: Settings, history: list[RawTransaction]
) -> None:
    away = f"postgresql://nobody:nothing@127.0.0.1:{free_port()}/none"
    settings = Settings(**api_settings.model_dump() | {"database_url": away})
    with TestClient(create_app(settings)) as client:
        answer = deliver(client, body(history))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "127.0.0.1" not in answer.text
        assert client.get("/health").status_code == 503
        assert client.get("/api/webhooks/health").status_code == 503
        assert client.get("/api/markets").status_code == 503
        # Forgeries are told apart all the same.
        assert deliver(client, body(history), {"Authorization": "x"}).status_code == 401


def test_size_kind_and_encoding(client: Client, ledger: Engine, api_settings: Settings) -> None:
    assert deliver(client, b"[" + b" " * (16 * 1024 * 1024) + b"]").status_code == 413
    answer = deliver(client, b"[]", GOOD | {"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    settings = Settings(**api_settings.model_dump() | {"webhook_max_bytes": 10})
    with TestClient(create_app(settings)) as small:
        assert deliver(small, b"[           ]").status_code == 413
    assert counts(ledger)["chain.deliveries"] == 0


async def storm(
    app: Litestar, requests: list[tuple[bytes, list[tuple[bytes, bytes]]]]
) -> list[int]:
    """Send all, several at a time; the statuses."""
    transport = httpx.ASGITransport(cast(Any, app), raise_app_exceptions=False)
    statuses = [0] * len(requests)
    numbers = iter(range(len(requests)))

    async def work(client: httpx.AsyncClient) -> None:
        for number in numbers:
            content, headers = requests[number]
            answer = await client.post(URL, content=content, headers=headers)
            statuses[number] = answer.status_code
            if answer.status_code == 400:
                assert answer.json()["details"][0]["field"], answer.text

    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        await asyncio.gather(*(work(client) for _ in range(4)))
    return statuses


def _malformed(history: list[RawTransaction], number: int) -> list[bytes]:
    """Bodies that are no payload any more."""
    dice = random.Random(5)
    good = body(history)
    found: list[bytes] = [b"", b"{", b"null", b"5", b'"x"', b"[null]", b"[[]]", b"[" * 100_000]
    while len(found) < number:
        broken = mutated(dice.sample(good, 2), dice)
        try:
            from_helius(broken, DEFAULT_PROGRAM_ID)
        except PayloadError:
            found.append(broken)
    return found


def _forged(history: list[RawTransaction], number: int) -> list[list[tuple[bytes, bytes]]]:
    """Headers that are not the accepted value."""
    dice = random.Random(6)
    secret = SECRET.encode()
    fixed: list[list[tuple[bytes, bytes]]] = [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer " + secret)],
        [(b"authorization", secret[:-1])],
        [(b"authorization", secret + b"x")],
        [(b"authorization", secret.upper())],
        [(b"authorization", b"\xff\xfe" + secret)],
        [(b"authorization", secret), (b"authorization", b"other")],
        [(b"authorization", b"other"), (b"authorization", secret)],
        [(b"authorization", secret), (b"authorization", secret)],
        [(b"x-helius-signature", secret)],
    ]
    while len(fixed) < number:
        changed = bytearray(secret)
        changed[dice.randrange(len(changed))] ^= dice.randrange(1, 128)
        fixed.append([(b"authorization", bytes(changed))])
    return fixed


def test_ten_thousand_bad_deliveries_change_nothing(
    api_settings: Settings, ledger: Engine, history: list[RawTransaction]
) -> None:
    good = json.dumps(body(history)).encode()
    known = [(b"authorization", SECRET.encode())]
    requests = [(content, known) for content in _malformed(history, 5000)]
    requests += [(good, headers) for headers in _forged(history, 5000)]
    before = counts(ledger)
    statuses = asyncio.run(storm(create_app(api_settings), requests))
    assert set(statuses[:5000]) == {400}
    assert set(statuses[5000:]) == {401}
    assert counts(ledger) == before
    assert before["chain.deliveries"] == 0


def test_what_a_webhook_says_never_becomes_final_by_itself(
    client: Client, ledger: Engine, history: list[RawTransaction]
) -> None:
    """A leaked secret can make the ledger hear something, never make it settled."""
    assert deliver(client, body(history)).status_code == 200
    with ledger.connect() as conn:
        levels = conn.execute(text("SELECT DISTINCT commitment::text FROM chain.events")).scalars()
        assert list(levels) == ["reported"]
