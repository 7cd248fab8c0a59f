"""Deliveries: authenticated, committed before the answer, ingested exactly once."""

from __future__ import annotations

import asyncio
import hmac
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.signature import Signature
from sqlalchemy import Engine, func, select, text

from api.app import create_app
from tests.api.conftest import SECRET
from tests.api.payloads import enhanced, mutated, raw
from tests.ledger.recorded_rpc import Recorder
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.readers import deliveries, hints
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import metadata

Client = TestClient[Litestar]
URL = "/api/webhooks/helius"
SIGNED = "x-helius-signature"
HMAC_KEY = "older-" + "k" * 40
GOOD = {"Authorization": SECRET, "Content-Type": "application/json"}


@pytest.fixture
def history() -> list[RawTransaction]:
    """A market created, opened and traded in."""
    recorder = Recorder()
    market_id = recorder.create(1)
    recorder.open(market_id)
    for user in recorder.users[:3]:
        recorder.buy(market_id, user)
        recorder.advance()
    return recorder.transactions


def body(transactions: list[RawTransaction]) -> list[dict[str, Any]]:
    """A raw Helius body."""
    return [raw(one) for one in transactions]


def deliver(client: Client, content: Any, headers: dict[str, str] | None = None) -> Any:
    """POST a body."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.post(URL, content=data, headers=GOOD if headers is None else headers)


def row_counts(db: Engine) -> dict[str, int]:
    """How many rows every table has, but for alerts, and for what the API counts of itself.

    It raises an alert when nothing else runs, and has a row for each process and minute.
    """
    owner = role_engine(Role.OWNER, db.url.render_as_string(hide_password=False))
    with owner.connect() as conn:
        found = {
            table.fullname: conn.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
            if table.fullname not in ("ops.alerts", "ops.api_counts")
        }
    owner.dispose()
    return found


def counts(db: Engine) -> dict[str, int]:
    """How many rows the tables that a delivery touches have."""
    names = ("chain.deliveries", "chain.transactions", "chain.events", "market.markets")
    with db.connect() as conn:
        return {
            name: conn.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in (*names, "market.trades", "ops.stream")
        }


def test_delivery_is_ingested_before_the_answer(
    client: Client, ledger: Engine, history: list[RawTransaction]
) -> None:
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        socket.send_json({"action": "subscribe", "channel": "markets"})
        socket.receive_json()
        answer = deliver(client, body(history))
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        assert shown["received"] is True
        assert shown["transactions"] == len(history)
        assert shown["newEvents"] == counts(ledger)["chain.events"] > 5
        assert shown["pending"] is False
        (row,) = client.get("/api/markets").json()["markets"]
        assert (row["state"], row["trades_count"], row["commitment"]) == ("ACTIVE", 3, "reported")
        assert socket.receive_json(timeout=30)["type"] == "market_state"
    before = counts(ledger)
    again = deliver(client, body(history))
    assert (again.status_code, again.json()["newEvents"]) == (200, 0)
    after = counts(ledger)
    assert after.pop("chain.deliveries") == before.pop("chain.deliveries") + 1
    assert after == before


@pytest.mark.parametrize("path", ["/helius/webhook", "/webhooks/events"])
def test_older_paths_and_a_single_object_are_accepted(
    client: Client, history: list[RawTransaction], path: str
) -> None:
    answer = client.post(path, json=raw(history[0]), headers={"Authorization": SECRET})
    assert (answer.status_code, answer.json()["transactions"]) == (200, 1)


def test_previous_secret_is_accepted_during_rotation(
    api_settings: Settings, history: list[RawTransaction]
) -> None:
    settings = Settings(
        **api_settings.model_dump() | {"helius_webhook_secret_previous": "the one before"}
    )
    with TestClient(create_app(settings)) as client:
        for value in (SECRET, "the one before"):
            assert deliver(client, body(history), {"Authorization": value}).status_code == 200
        assert deliver(client, body(history), {"Authorization": "another"}).status_code == 401


def test_nothing_is_accepted_without_a_secret(
    api_settings: Settings, history: list[RawTransaction]
) -> None:
    settings = Settings(**api_settings.model_dump() | {"helius_webhook_secret": None})
    with TestClient(create_app(settings)) as client:
        for headers in ({}, {"Authorization": ""}, {"Authorization": "None"}):
            assert deliver(client, body(history), headers).status_code == 401
        assert client.get("/api/webhooks/health").json()["webhooks"] == "off"


def test_large_delivery_is_completed_after_the_answer(
    api_settings: Settings, ledger: Engine, history: list[RawTransaction]
) -> None:
    settings = Settings(**api_settings.model_dump() | {"webhook_inline_transactions": 2})
    with TestClient(create_app(settings)) as client:
        shown = deliver(client, body(history)).json()
        assert shown["pending"] is True
        deadline = time.monotonic() + 60
        while counts(ledger)["chain.transactions"] < len(history):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    with ledger.connect() as conn:
        assert deliveries.pending_deliveries(conn) == []


def test_delivery_that_fails_after_the_commit_stays_pending(
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
        (delivery,) = deliveries.pending_deliveries(conn)
    deliveries.process_delivery(ledger, delivery, program=DEFAULT_PROGRAM_ID)
    assert counts(ledger)["chain.transactions"] == len(history)


def test_sender_gets_retry_after_while_postgres_is_down(
    api_settings: Settings, history: list[RawTransaction]
) -> None:
    away = f"postgresql://absent:absent@127.0.0.1:{unused_port()}/none"
    settings = Settings(**api_settings.model_dump() | login_settings(away))
    with TestClient(create_app(settings)) as client:
        answer = deliver(client, body(history))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "127.0.0.1" not in answer.text
        assert client.get("/health").status_code == 503
        assert client.get("/api/webhooks/health").status_code == 503
        assert client.get("/api/markets").status_code == 503
        # Forged deliveries are still rejected as such.
        assert deliver(client, body(history), {"Authorization": "x"}).status_code == 401


def test_size_content_type_and_encoding_are_checked(
    client: Client, ledger: Engine, api_settings: Settings
) -> None:
    assert deliver(client, b"[" + b" " * (16 * 1024 * 1024) + b"]").status_code == 413
    answer = deliver(client, b"[]", GOOD | {"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    settings = Settings(**api_settings.model_dump() | {"webhook_max_bytes": 10})
    with TestClient(create_app(settings)) as small:
        assert deliver(small, b"[           ]").status_code == 413
    assert counts(ledger)["chain.deliveries"] == 0


@contextmanager
def held(database: str, table: str) -> Iterator[None]:
    """Lock the table against other writers."""
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        conn.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
        yield
    owner.dispose()


def test_answer_does_not_wait_for_a_slow_ledger(
    api_settings: Settings, database: str, ledger: Engine, history: list[RawTransaction]
) -> None:
    """An answer that waited for the table would never come: this thread holds it meanwhile."""
    settings = Settings(**api_settings.model_dump() | {"webhook_answer_seconds": 0.3})
    with TestClient(create_app(settings)) as client:
        with held(database, "chain.transactions"):
            shown = deliver(client, body(history)).json()
            assert (shown["pending"], shown["newEvents"]) == (True, 0)
            assert counts(ledger)["chain.deliveries"] == 1
        # Ingestion was in progress and completes without another request.
        deadline = time.monotonic() + 60
        while counts(ledger)["chain.transactions"] < len(history):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_delivery_not_stored_in_time_is_503(
    api_settings: Settings, database: str, ledger: Engine, history: list[RawTransaction]
) -> None:
    settings = Settings(**api_settings.model_dump() | {"webhook_answer_seconds": 0.3})
    with TestClient(create_app(settings)) as client, held(database, "chain.deliveries"):
        for _ in range(4):
            answer = deliver(client, body(history))
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
    with TestClient(create_app(api_settings)) as client:
        assert deliver(client, body(history)).status_code == 200
        assert counts(ledger)["chain.transactions"] == len(history)


async def deliver_while_ledger_is_locked(
    settings: Settings, database: str, ledger: Engine, contents: list[Any]
) -> list[dict[str, Any]]:
    """Deliver all while the first is blocked; return the answers."""
    app = create_app(Settings(**settings.model_dump() | {"webhook_answer_seconds": 60}))
    transport = httpx.ASGITransport(cast(Any, app))
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client,
    ):
        with held(database, "chain.transactions"):
            answers = []
            for number, content in enumerate(contents, 1):
                data = json.dumps(content).encode()
                answers.append(asyncio.create_task(client.post(URL, content=data, headers=GOOD)))
                for _ in range(1000):
                    stored = await asyncio.to_thread(counts, ledger)
                    if stored["chain.deliveries"] == number:
                        break
                    await asyncio.sleep(0.01)
        return [(await answer).json() for answer in answers]


def test_burst_is_ingested_in_one_batch_with_separate_answers(
    api_settings: Settings, database: str, ledger: Engine, history: list[RawTransaction]
) -> None:
    # The last two contain the same transaction: it counts for the first of them.
    contents = [body([one]) for one in [*history, history[-1]]]
    found = asyncio.run(deliver_while_ledger_is_locked(api_settings, database, ledger, contents))
    assert [one["pending"] for one in found] == [False] * len(contents)
    with ledger.connect() as conn:
        rows = conn.execute(
            text(
                "SELECT t.delivery_id, count(e) FROM chain.transactions AS t"
                " LEFT JOIN chain.events AS e USING (signature, digest) GROUP BY 1"
            )
        ).all()
        together = conn.execute(
            text("SELECT count(DISTINCT xid) FROM chain.transactions")
        ).scalar_one()
    brought = {row[0]: row[1] for row in rows} | {found[-1]["delivery"]: 0}
    assert {one["delivery"]: one["newEvents"] for one in found} == brought
    assert sum(brought.values()) == counts(ledger)["chain.events"]
    assert together == 2, "deliveries queued behind the first share one database transaction"


def test_only_the_faulty_delivery_of_a_burst_stays_pending(
    api_settings: Settings,
    database: str,
    ledger: Engine,
    history: list[RawTransaction],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = history[2].signature

    def poisoned(conn: Any, transactions: Any, **rest: Any) -> Any:
        if any(one.signature == bad for one in transactions):
            raise RuntimeError("planted")
        return ingest(conn, transactions, **rest)

    monkeypatch.setattr(deliveries, "ingest", poisoned)
    contents = [body([one]) for one in history]
    found = asyncio.run(deliver_while_ledger_is_locked(api_settings, database, ledger, contents))
    assert [one["pending"] for one in found] == [one.signature == bad for one in history]
    assert counts(ledger)["chain.transactions"] == len(history) - 1


def test_large_delivery_does_not_delay_others(api_settings: Settings, ledger: Engine) -> None:
    recorder = Recorder()
    market_id = recorder.create(1)
    recorder.open(market_id)
    for number in range(120):
        recorder.buy(market_id, recorder.users[number % 3])
    shown = recorder.transactions
    settings = Settings(**api_settings.model_dump() | {"webhook_inline_transactions": 5})
    with TestClient(create_app(settings)) as client:
        large = deliver(client, body(shown[:-1])).json()
        small = deliver(client, body(shown[-1:])).json()
        left = len(shown) - counts(ledger)["chain.transactions"]
        assert (large["pending"], small["pending"]) == (True, False)
        assert left > 5, "the small delivery did not wait for the rest of the large one"
        deadline = time.monotonic() + 60
        while counts(ledger)["chain.transactions"] < len(shown):
            assert time.monotonic() < deadline
            time.sleep(0.02)


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
    """Bodies that are neither a JSON array nor a JSON object."""
    dice = random.Random(5)
    good = json.dumps(body(history)[:2]).encode()
    shown = enhanced(*(one.signature for one in history[:2]))
    found: list[bytes] = [b"", b"{", b"null", b"5", b'"x"', b"true", b"[" * 100_000, b"[1] 2"]
    found += [b"[5,]", b"{5: 1}", b"[NaN]", b"\xff\xfe", b"[" + good]
    while len(found) < number:
        broken = bytearray(shown if len(found) % 5 == 0 else good)
        place = dice.randrange(len(broken))
        if dice.random() < 0.5:
            del broken[place:]
        else:
            broken[place] = dice.choice(b'\x00\x1f"\\{}[]:,x')
        if not _is_delivery(bytes(broken)):
            found.append(bytes(broken))
    return found


def _is_delivery(content: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(content), dict | list)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


def _forged(history: list[RawTransaction], number: int) -> list[list[tuple[bytes, bytes]]]:
    """Headers with neither the accepted value nor a valid signature of the body."""
    dice = random.Random(6)
    secret = SECRET.encode()
    content = json.dumps(body(history)).encode()
    right = signed(content)[SIGNED].encode()
    name = SIGNED.encode()
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
        [(b"authorization", HMAC_KEY.encode())],
        [(b"authorization", right)],
        [(name, secret)],
        [(name, b"")],
        [(name, b"\xff" * 64)],
        [(name, right[:-1])],
        [(name, b"sha256=" + right)],
        [(name, right), (name, right)],
        # Of the same values, but not of these bytes.
        [(name, signed(json.dumps(body(history), indent=1).encode())[SIGNED].encode())],
        [(name, signed(content, "another key")[SIGNED].encode())],
    ]
    while len(fixed) < number:
        key, value = dice.choice([(b"authorization", secret), (name, right)])
        changed = bytearray(value)
        changed[dice.randrange(len(changed))] ^= dice.choice([1, 2, 4, 8, 16, 64])
        fixed.append([(key, bytes(changed))])
    return fixed


@pytest.mark.timeout(900)
def test_twenty_thousand_invalid_deliveries_change_nothing(
    api_settings: Settings, ledger: Engine, history: list[RawTransaction]
) -> None:
    settings = Settings(**api_settings.model_dump() | {"webhook_hmac_secret": HMAC_KEY})
    good = json.dumps(body(history)).encode()
    known = [(b"authorization", SECRET.encode())]
    requests = [(content, known) for content in _malformed(history, 10_000)]
    requests += [(good, headers) for headers in _forged(history, 10_000)]
    before = row_counts(ledger)
    statuses = asyncio.run(storm(create_app(settings), requests))
    assert set(statuses[:10_000]) == {400}
    assert set(statuses[10_000:]) == {401}
    assert row_counts(ledger) == before
    assert before["chain.deliveries"] == 0


def signed(content: bytes, key: str = HMAC_KEY) -> dict[str, str]:
    """The header of older senders."""
    return {SIGNED: hmac.new(key.encode(), content, "sha256").hexdigest()}


def test_signed_body_is_accepted_if_a_key_is_configured(
    client: Client, api_settings: Settings, ledger: Engine, history: list[RawTransaction]
) -> None:
    # With blanks and line ends: it is the bytes that are signed, not the values.
    content = json.dumps(body(history), indent=2).encode()
    assert deliver(client, content, signed(content)).status_code == 401
    assert client.get("/api/webhooks/health").json()["webhooks"] == "on"
    keys = {"webhook_hmac_secret": HMAC_KEY, "helius_webhook_secret": None}
    with TestClient(create_app(Settings(**api_settings.model_dump() | keys))) as older:
        assert older.get("/api/webhooks/health").json()["webhooks"] == "on"
        assert deliver(older, content, signed(content, "another")).status_code == 401
        assert deliver(older, content + b" ", signed(content)).status_code == 401
        assert deliver(older, content, {"Authorization": ""}).status_code == 401
        assert counts(ledger)["chain.deliveries"] == 0
        headers = {SIGNED: signed(content)[SIGNED].upper()}
        answer = deliver(older, content, headers)
        assert (answer.status_code, answer.json()["transactions"]) == (200, len(history))
        huge = b"[" + b" " * (16 * 1024 * 1024) + b"]"
        assert deliver(older, huge, signed(huge)).status_code == 413
    assert counts(ledger)["chain.transactions"] == len(history)


def test_body_without_logs_is_stored_as_hints(
    client: Client, ledger: Engine, history: list[RawTransaction]
) -> None:
    names = [one.signature for one in history]
    content = enhanced(*names)
    shown = deliver(client, content).json()
    assert (shown["transactions"], shown["newEvents"], shown["pending"]) == (len(names), 0, True)
    with ledger.connect() as conn:
        assert {row.signature for row in hints.due_hints(conn)} == set(names)
        assert deliveries.pending_deliveries(conn) == []
    # The same once more is stored, and nothing is queued twice.
    assert deliver(client, content).json()["pending"] is False
    # What comes with its logs meanwhile needs no reading.
    assert deliver(client, body(history)).status_code == 200
    found = row_counts(ledger)
    assert (found["chain.deliveries"], found["chain.hints"]) == (3, len(names))
    fresh = deliver(client, enhanced(bytes(64), names[0])).json()
    assert (fresh["pending"], row_counts(ledger)["chain.hints"]) == (True, len(names) + 1)
    odd = deliver(client, enhanced(bytes([9]) * 64, slot=-1)).json()
    assert (odd["unreadable"], odd["pending"]) == (1, True)


def read_rows(db: Engine) -> list[Any]:
    with db.connect() as conn:
        return list(
            conn.execute(
                text(
                    "SELECT transaction_count, unreadable_count, unreadable, body, status"
                    " FROM chain.deliveries ORDER BY id"
                )
            )
        )


ODD: dict[str, Any] = {
    "no transaction": {"slot": 1, "meta": {"err": None}},
    "null": None,
    "number": 7,
    "text": "x",
    "list": [],
    "empty": {},
    "huge": {"slot": 1, "meta": {"logMessages": ["x"] * 30_000}},
    "beyond 64 bits": {"slot": 2**70},
    "nested": json.loads("[" * 200 + "]" * 200),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 2, -1])
def test_one_odd_entry_costs_only_itself(
    client: Client, ledger: Engine, history: list[RawTransaction], odd: str, place: int
) -> None:
    entries: list[Any] = body(history)
    entries.insert(place % (len(entries) + 1), ODD[odd])
    answer = deliver(client, entries)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["transactions"], shown["unreadable"]) == (len(history), 1)
    assert shown["pending"] is False
    assert counts(ledger)["chain.transactions"] == len(history)
    (row,) = read_rows(ledger)
    assert (row.transaction_count, row.unreadable_count, row.status) == (
        len(history),
        1,
        "ingested",
    )
    assert row.unreadable[0]["position"] == entries.index(ODD[odd])
    assert row.unreadable[0]["reason"]
    assert json.loads(row.body) == entries, "the entry is kept as received"
    with ledger.connect() as conn:
        assert health.ledger_lag(conn).unreadable_entries == 1


def test_odd_entry_that_names_its_transaction_is_read_by_rpc(
    client: Client, ledger: Engine, history: list[RawTransaction]
) -> None:
    entries = body(history)
    del entries[1]["meta"]
    entries[2]["slot"] = "soon"
    del entries[3]["transaction"]["message"]
    entries.append({"signature": str(Signature(bytes([7]) * 64)), "type": "UNKNOWN"})
    shown = deliver(client, entries).json()
    assert (shown["transactions"], shown["unreadable"]) == (len(history) - 3, 4)
    with ledger.connect() as conn:
        named = {row.signature: row.slot for row in hints.due_hints(conn)}
    assert named == {
        history[1].signature: history[1].slot,
        history[2].signature: None,
        history[3].signature: history[3].slot,
        bytes([7]) * 64: None,
    }


@pytest.mark.parametrize("odd", ODD)
def test_delivery_of_odd_entries_only_is_kept(client: Client, ledger: Engine, odd: str) -> None:
    for content in (
        [ODD[odd]],
        [ODD[odd]] * 3,
        *([ODD[odd]] if isinstance(ODD[odd], dict) else []),
    ):
        answer = deliver(client, content)
        assert answer.status_code == 200, answer.text
        assert answer.json()["unreadable"] == (len(content) if isinstance(content, list) else 1)
        assert answer.json()["pending"] is False
    with ledger.connect() as conn:
        assert deliveries.pending_deliveries(conn) == []


def test_body_that_is_no_json_is_named(client: Client) -> None:
    answer = client.post(URL, content=b'[{"slot": 1', headers=GOOD)
    assert answer.status_code == 400
    (detail,) = answer.json()["details"]
    assert detail["field"] == "body"
    assert "truncated" in detail["message"]


def test_raw_and_enhanced_entries_in_one_delivery(
    client: Client, ledger: Engine, history: list[RawTransaction]
) -> None:
    mixed = body(history)[:2] + json.loads(enhanced(bytes([3]) * 64, bytes([4]) * 64)) + [None]
    shown = deliver(client, mixed).json()
    assert (shown["transactions"], shown["unreadable"]) == (2, 1)
    with ledger.connect() as conn:
        assert {row.signature[0] for row in hints.due_hints(conn)} == {3, 4}


def test_more_entries_than_one_array_may_hold_are_read(
    client: Client, ledger: Engine, history: list[RawTransaction]
) -> None:
    """Duplicates, too: each transaction is one row."""
    shown = deliver(client, enhanced(*(number.to_bytes(64) for number in range(1, 1202)))).json()
    assert (shown["transactions"], shown["unreadable"]) == (1201, 0)
    assert row_counts(ledger)["chain.hints"] == 1201
    twice = deliver(client, [*body(history), None, *body(history)]).json()
    assert (twice["transactions"], twice["unreadable"]) == (2 * len(history), 1)
    assert counts(ledger)["chain.transactions"] == len(history)


def test_pipelines_ingest_what_can_be_read(
    client: Client, ledger: Engine, history: list[RawTransaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "ingest", broken)
        assert deliver(client, [None, *body(history)]).json()["pending"] is True
    with ledger.connect() as conn:
        (delivery,) = deliveries.pending_deliveries(conn)
    assert deliveries.process_delivery(ledger, delivery, program=DEFAULT_PROGRAM_ID).complete
    assert counts(ledger)["chain.transactions"] == len(history)


def test_mutated_entries_never_fail_a_delivery(
    api_settings: Settings, ledger: Engine, history: list[RawTransaction]
) -> None:
    """A mutated entry may still be readable; the good one beside it always is."""
    dice = random.Random(8)
    good = body(history)
    shown: list[dict[str, Any]] = json.loads(enhanced(*(one.signature for one in history)))
    known = [(b"authorization", SECRET.encode())]
    requests: list[tuple[bytes, list[tuple[bytes, bytes]]]] = []
    while len(requests) < 300:
        broken = mutated(dice.sample(shown if len(requests) % 5 == 0 else good, 2), dice)
        if _is_delivery(broken):
            requests.append((broken, known))
    assert set(asyncio.run(storm(create_app(api_settings), requests))) == {200}
    found = read_rows(ledger)
    assert len(found) == 300
    assert sum(row.unreadable_count for row in found) > 50
    assert {row.status for row in found} == {"ingested"}


def test_webhook_alone_never_finalizes_a_transaction(
    client: Client, ledger: Engine, history: list[RawTransaction]
) -> None:
    """A leaked secret can report a transaction, but not confirm or finalize it."""
    assert deliver(client, body(history)).status_code == 200
    with ledger.connect() as conn:
        levels = conn.execute(text("SELECT DISTINCT commitment::text FROM chain.events")).scalars()
        assert list(levels) == ["reported"]
