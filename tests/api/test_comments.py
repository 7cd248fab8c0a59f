"""Authentication by both carriers and texts; comments and their authors."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from tests.api.seed import address_of, market
from tests.api.wallets import SIGN_IN, header, milliseconds, proof, signed_in

Client = TestClient[Litestar]
MARKET = b"\xcd" * 32


@pytest.fixture
def market_id(ledger: Engine) -> str:
    """A market to comment on."""
    with ledger.begin() as conn:
        market(conn, MARKET)
    return MARKET.hex()


def post(client: Client, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """POST /api/discussions."""
    return client.post("/api/discussions", json=body, headers=headers)


def test_comment_is_listed_published_and_deleted_by_its_author_only(
    client: Client, market_id: str
) -> None:
    author, other = Keypair(), Keypair()
    with client.websocket_connect("/ws") as socket:
        socket.receive_json()
        socket.send_json({"action": "subscribe", "market_id": market_id})
        socket.receive_json()
        body = {"market_id": address_of(MARKET), "content": "  Hört, hört! 🗳️  "}
        answer = post(client, body | signed_in(author))
        assert answer.status_code == 201
        comment = answer.json()["discussion"]
        assert comment["content"] == "Hört, hört! 🗳️"
        assert comment["market_id"] == market_id
        assert comment["user_wallet"] == str(author.pubkey())
        frame = socket.receive_json(timeout=30)
        assert frame["type"] == "discussion"
        assert frame["data"]["action"] == "created"
        assert frame["data"]["postId"] == comment["id"]

        path = f"/api/discussions/{comment['id']}"
        assert client.request("DELETE", path, json=signed_in(other)).status_code == 403
        listed = client.get(f"/api/discussions/{market_id}").json()
        assert [row["id"] for row in listed["discussions"]] == [comment["id"]]
        assert client.delete(path, headers=header(author)).json()["message"]
        assert socket.receive_json(timeout=30)["data"]["action"] == "deleted"
    assert client.get(f"/api/discussions/{market_id}").json()["discussions"] == []
    assert client.request("DELETE", path, json=signed_in(author)).status_code == 404


def test_both_carriers_and_both_texts_are_accepted(client: Client, market_id: str) -> None:
    wallet = Keypair()
    body = {"market_id": market_id, "content": "hello"}
    assert post(client, body | signed_in(wallet)).status_code == 201
    assert post(client, body, header(wallet)).status_code == 201
    frontend = proof(wallet, f"Sign in to ZMART\nTimestamp: {milliseconds()}")
    assert post(client, body | frontend).status_code == 201
    assert client.get(f"/api/discussions/{market_id}").json()["total"] == 3


def _cases() -> dict[str, tuple[dict[str, Any], dict[str, str], int, str]]:
    wallet, other = Keypair(), Keypair()
    good = signed_in(wallet)
    return {
        "nothing": ({}, {}, 401, "message"),
        "no signature": ({"message": good["message"], "wallet": good["wallet"]}, {}, 401, "sig"),
        "bearer": ({}, {"Authorization": "Bearer abc"}, 401, "Signature"),
        "empty header": ({}, {"Authorization": "Signature "}, 401, "message"),
        "too old": (signed_in(wallet, 301), {}, 401, "message"),
        "from the future": (signed_in(wallet, -301), {}, 401, "message"),
        "old header": ({}, header(wallet, 301), 401, "message"),
        "other text": (proof(wallet, f"Hello {milliseconds()}"), {}, 401, "message"),
        "no time": (proof(wallet, SIGN_IN), {}, 401, "message"),
        "other wallet": (good | {"wallet": str(other.pubkey())}, {}, 401, "signature"),
        "other message": (good | {"message": good["message"] + "."}, {}, 401, "signature"),
        "bad wallet": (good | {"wallet": "0OIl"}, {}, 400, "wallet"),
        "short wallet": (good | {"wallet": "1111"}, {}, 400, "wallet"),
        "bad signature": (good | {"signature": "zzz"}, {}, 400, "signature"),
        "long message": (good | {"message": "x" * 3000}, {}, 400, "message"),
    }


@pytest.mark.parametrize("case", list(_cases()))
def test_invalid_proof_is_rejected_and_writes_nothing(
    client: Client, market_id: str, ledger: Engine, case: str
) -> None:
    members, headers, status, named = _cases()[case]
    answer = post(client, {"market_id": market_id, "content": "hello"} | members, headers)
    assert answer.status_code == status, answer.text
    assert named in answer.text
    if status == 401:
        assert answer.headers["www-authenticate"] == "Signature"
    with ledger.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM community.discussions")).scalar() == 0
        assert conn.execute(text("SELECT count(*) FROM community.users")).scalar() == 0


def test_body_is_validated_before_the_proof(client: Client, market_id: str) -> None:
    assert post(client, {"market_id": market_id, "content": ""}).status_code == 400
    assert post(client, {"market_id": market_id, "content": "ok"}).status_code == 401


def test_comment_requires_an_existing_market(client: Client) -> None:
    body = {"market_id": "ee" * 32, "content": "hello"} | signed_in(Keypair())
    assert post(client, body).status_code == 404
