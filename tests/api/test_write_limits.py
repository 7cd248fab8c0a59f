"""Limits on the writes of a wallet and of an address, which hold for concurrent requests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from api.app import create_app
from api.connections.client_address import address_key
from api.errors import ApiError
from api.identity import signed_requests
from api.identity.auth import AuthorizedWrite
from api.identity.signed_requests import record
from tests.api.seed import market, wallet
from tests.api.wallets import signed
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, act_as

Client = TestClient[Litestar]
MARKET = b"\xcd" * 32
LIMITS = {
    "comments_per_wallet_hour": 3,
    "comments_per_address_hour": 5,
}


@pytest.fixture
def limited(api_settings: Settings, ledger: Engine) -> Iterator[Client]:
    """An API with low limits."""
    with ledger.begin() as conn:
        market(conn, MARKET, state=0)
    settings = api_settings.model_copy(update=LIMITS)
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        yield made


def comment(client: Client, author: Keypair, words: str) -> Any:
    body = {"market_id": MARKET.hex(), "content": words}
    return client.post("/api/discussions", json=signed(client, author, "/api/discussions", body))


def assert_limited(answer: Any, name: str) -> None:
    """A 429 that names the limit and says when to come back."""
    assert answer.status_code == 429, answer.text
    assert answer.json()["code"] == "limit_exceeded"
    seconds = int(answer.headers["retry-after"])
    limit = {"name": name, "value": LIMITS[name], "retry_after_seconds": seconds}
    assert answer.json()["limit"] == limit
    assert name in answer.json()["message"]
    assert 0 < int(answer.headers["retry-after"]) <= 3600


def test_wallet_and_address_have_limits_of_their_own(limited: Client, ledger: Engine) -> None:
    for number in range(3):
        assert comment(limited, wallet(1), f"number {number}").status_code == 201
    assert_limited(comment(limited, wallet(1), "too many"), "comments_per_wallet_hour")
    for number in (2, 3):
        assert comment(limited, wallet(number), "hello").status_code == 201
    assert_limited(comment(limited, wallet(4), "hello"), "comments_per_address_hour")
    with ledger.connect() as conn:
        stored = conn.execute(text("SELECT count(*) FROM community.discussions")).scalar_one()
    assert stored == 5


def test_repeat_is_answered_at_the_limit(limited: Client) -> None:
    body = {"market_id": MARKET.hex(), "content": "first"}
    sent = signed(limited, wallet(1), "/api/discussions", body)
    first = limited.post("/api/discussions", json=sent)
    for number in range(2):
        assert comment(limited, wallet(1), f"number {number}").status_code == 201
    assert limited.post("/api/discussions", json=sent).json() == first.json()


def test_concurrent_writes_keep_the_limit(limited: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: comment(limited, wallet(1), f"number {n}"), range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 9


@pytest.fixture
def engines(database: str) -> Iterator[dict[Role, Engine]]:
    """Engines of the API and of the owner."""
    made = {role: role_engine(role, database) for role in (Role.API, Role.OWNER)}
    yield made
    for one in made.values():
        one.dispose()


def age_requests(owner: Engine, age: str) -> None:
    """Make every recorded request this old; the table itself is append-only."""
    with owner.begin() as conn:
        conn.execute(text("ALTER TABLE community.signed_requests DISABLE TRIGGER reject_change"))
        conn.execute(
            text(
                "UPDATE community.signed_requests SET accepted_at = now() - CAST(:age AS interval)"
            ),
            {"age": age},
        )
        conn.execute(text("ALTER TABLE community.signed_requests ENABLE TRIGGER reject_change"))


def test_limit_ends_when_the_hour_has_passed(engines: dict[Role, Engine]) -> None:
    settings = Settings(drafts_per_address_hour=1)

    def request(number: int) -> AuthorizedWrite:
        return AuthorizedWrite(
            signature=bytes([number]) * 64,
            wallet=bytes([1]) * 32,
            action="draft",
            digest=bytes([number]) * 32,
            address="192.0.2.1",
            session=None,
            expired=None,
        )

    def add(number: int) -> bool:
        with engines[Role.API].begin() as conn:
            act_as(conn, request(number).wallet)
            return record(conn, request(number), settings)

    assert add(1)
    with pytest.raises(ApiError) as caught:
        add(2)
    assert caught.value.headers["Retry-After"] == "3600"
    age_requests(engines[Role.OWNER], "59 minutes")
    with pytest.raises(ApiError) as caught:
        add(2)
    assert 59 <= int(caught.value.headers["Retry-After"]) <= 60
    age_requests(engines[Role.OWNER], "1 hour")
    assert add(2)
    assert not add(1)


def test_signature_that_a_ballot_uses_at_the_same_time_is_used(
    engines: dict[Role, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ballot is stored between the request's look for the signature and its own record."""
    signature, sender = bytes([1]) * 64, bytes([1]) * 32
    request = AuthorizedWrite(
        wallet=sender,
        action="comment",
        digest=bytes(32),
        address="192.0.2.1",
        signature=signature,
        session=None,
        expired=None,
    )
    real = signed_requests.require_below_limits

    def ballot_comes_first(*arguments: Any) -> None:
        real(*arguments)
        with engines[Role.API].begin() as other:
            act_as(other, sender)
            other.execute(
                text(
                    "INSERT INTO community.signed_requests (signature, wallet, action, digest)"
                    " VALUES (:signature, :wallet, 'ballot', :digest)"
                ),
                {"signature": signature, "wallet": sender, "digest": bytes([9]) * 32},
            )

    monkeypatch.setattr(signed_requests, "require_below_limits", ballot_comes_first)
    with engines[Role.API].begin() as conn:
        act_as(conn, sender)
        with pytest.raises(ApiError) as caught:
            record(conn, request, Settings())
    assert (caught.value.status, caught.value.fields[0].field) == (401, "signature")


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("_hidden", "unknown"),
        ("", "unknown"),
    ],
)
def test_clients_address_is_a_v4_address_or_a_v6_network(address: str, group: str) -> None:
    assert address_key(address) == group
