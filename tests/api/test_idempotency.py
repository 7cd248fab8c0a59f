"""A write under an idempotency key has one effect and one answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Connection, Engine, text

from api.errors import ApiError
from api.identity import idempotency
from api.identity.auth import AuthorizedWrite
from tests.api.seed import market, wallet
from tests.api.wallets import signed
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, act_as

Client = TestClient[Litestar]
MARKET = b"\xcd" * 32
KEY = {"Idempotency-Key": "comment 1"}
PATH = "/api/discussions"


@pytest.fixture(autouse=True)
def _market(ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, MARKET)


@pytest.fixture
def api(database: str) -> Iterator[Engine]:
    """An engine of the API's login."""
    made = role_engine(Role.API, database, pool_size=10)
    yield made
    made.dispose()


def comment(client: Client, words: str, number: int = 1, key: dict[str, str] | None = None) -> Any:
    """Post a comment with a signature of its own."""
    body = signed(client, wallet(number), PATH, {"market_id": MARKET.hex(), "content": words})
    return client.post(PATH, json=body, headers=KEY if key is None else key)


def count(ledger: Engine, table: str = "discussions") -> int:
    with ledger.connect() as conn:
        return int(conn.execute(text(f"SELECT count(*) FROM community.{table}")).scalar_one())


def test_same_request_under_a_key_is_answered_the_same(client: Client, ledger: Engine) -> None:
    first, again = comment(client, "hello"), comment(client, "hello")
    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert count(ledger) == 1
    # Another wallet's key is another one, and without a key each is a comment of its own.
    assert comment(client, "hello", 2).json() != first.json()
    assert comment(client, "hello", key={}).json() != first.json()
    assert count(ledger) == 3


def test_another_request_under_the_key_is_a_conflict(client: Client, ledger: Engine) -> None:
    first = comment(client, "hello")
    other = comment(client, "something else")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_used")
    path = f"{PATH}/{first.json()['discussion']['id']}"
    deleted = client.request("DELETE", path, json=signed(client, wallet(1), path), headers=KEY)
    assert (deleted.status_code, deleted.json()["code"]) == (409, "idempotency_key_used")
    assert count(ledger) == 1


def test_refused_write_leaves_its_key_unused(client: Client) -> None:
    body = {"market_id": "ee" * 32, "content": "hello"}
    sent = signed(client, wallet(1), PATH, body)
    assert client.post(PATH, json=sent, headers=KEY).status_code == 404
    assert comment(client, "hello").status_code == 201


def test_key_needs_the_proof(client: Client) -> None:
    stored = comment(client, "hello").json()["discussion"]
    body = {"market_id": MARKET.hex(), "content": "hello"}
    forged = signed(client, wallet(2), PATH, body) | {"wallet": stored["user_wallet"]}
    answer = client.post(PATH, json=forged, headers=KEY)
    assert answer.status_code == 401
    assert stored["id"] not in answer.text


def write_of(number: int, key_digest: int = 0, signer: int = 1) -> AuthorizedWrite:
    return AuthorizedWrite(
        signature=bytes([number]) * 64,
        wallet=bytes([signer]) * 32,
        action="comment",
        digest=bytes([key_digest]) * 32,
        address="192.0.2.1",
        session=None,
        expired=None,
    )


def perform(conn: Connection, write: AuthorizedWrite, key: str | None, answer: int) -> Any:
    act_as(conn, write.wallet)
    work = idempotency.once(lambda _: answer, int, write, key, Settings())
    return work(conn)


def test_key_in_flight_is_refused_until_its_request_ends(api: Engine) -> None:
    with api.begin() as conn:
        assert perform(conn, write_of(1), "k", 1).answer == 1
        with api.begin() as other, pytest.raises(ApiError) as caught:
            perform(other, write_of(2), "k", 2)
    assert (caught.value.status, caught.value.code) == (409, "idempotency_key_in_use")
    assert caught.value.headers["Retry-After"] == "1"
    with api.begin() as conn:
        again = perform(conn, write_of(3), "k", 3)
    assert (again.answer, again.is_repeated) == (1, True)


def test_answer_is_stored_exactly_with_its_effect(api: Engine) -> None:
    with api.connect() as conn:
        perform(conn, write_of(1), "k", 1)
        conn.rollback()
    with api.begin() as conn:
        assert not perform(conn, write_of(1), "k", 2).is_repeated


def test_concurrent_requests_under_a_key_have_one_effect(client: Client, ledger: Engine) -> None:
    bodies = [
        signed(client, wallet(1), PATH, {"market_id": MARKET.hex(), "content": "hello"})
        for _ in range(8)
    ]
    together = Barrier(len(bodies))

    def send(body: dict[str, Any]) -> Any:
        together.wait()
        return client.post(PATH, json=body, headers=KEY)

    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(send, bodies))
    created = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert created
    assert all(answer == created[0] for answer in created)
    assert {answer.json()["code"] for answer in refused} <= {"idempotency_key_in_use"}
    assert count(ledger) == 1


def test_answers_are_seen_by_their_wallet_only(api: Engine) -> None:
    with api.begin() as conn:
        perform(conn, write_of(1), "k", 1)
    seen = text("SELECT count(*) FROM community.idempotency_keys")
    counts = []
    for identity in (bytes([1]) * 32, bytes([2]) * 32, None):
        with api.begin() as conn:
            act_as(conn, identity)
            counts.append(conn.execute(seen).scalar_one())
    assert counts == [1, 0, 0]


def test_signature_whose_answer_is_no_longer_kept_is_used(api: Engine, database: str) -> None:
    with api.begin() as conn:
        perform(conn, write_of(1), None, 1)
        assert perform(conn, write_of(1), None, 2).answer == 1
    pipelines = role_engine(Role.PIPELINES, database)
    with pipelines.begin() as conn:
        conn.execute(text("DELETE FROM community.idempotency_keys"))
    pipelines.dispose()
    with api.begin() as conn, pytest.raises(ApiError) as caught:
        perform(conn, write_of(1), None, 3)
    assert (caught.value.status, caught.value.code) == (401, "signature_used")
