"""Comments and their authors; which proofs permit a write, in which carrier."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from tests.api.seed import address_of, market
from tests.api.wallets import SIGN_IN, header, in_header, milliseconds, proof, signed, signed_in

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
        answer = post(client, signed(client, author, "/api/discussions", body))
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/api/discussions/{market_id}"
        comment = answer.json()["discussion"]
        assert comment["content"] == "Hört, hört! 🗳️"
        assert comment["market_id"] == market_id
        assert comment["user_wallet"] == str(author.pubkey())
        frame = socket.receive_json(timeout=30)
        assert frame["type"] == "discussion"
        assert frame["data"]["action"] == "created"
        assert frame["data"]["postId"] == comment["id"]

        path = f"/api/discussions/{comment['id']}"
        refused = client.request("DELETE", path, json=signed(client, other, path))
        assert refused.status_code == 403
        listed = client.get(f"/api/discussions/{market_id}").json()
        assert [row["id"] for row in listed["discussions"]] == [comment["id"]]
        text = client.get(f"{path}/message").json()["message"]
        deleted = client.delete(path, headers=in_header(proof(author, text)))
        assert deleted.json()["message"]
        assert socket.receive_json(timeout=30)["data"]["action"] == "deleted"
    assert client.get(f"/api/discussions/{market_id}").json()["discussions"] == []
    again = client.request("DELETE", path, json=signed(client, author, path))
    assert again.status_code == 404


def test_own_text_permits_a_write_in_both_carriers(client: Client, market_id: str) -> None:
    body = {"market_id": market_id, "content": "hello"}
    assert post(client, signed(client, Keypair(), "/api/discussions", body)).status_code == 201
    by_header = signed(client, Keypair(), "/api/discussions", body)
    assert post(client, body, in_header(by_header)).status_code == 201
    assert client.get(f"/api/discussions/{market_id}").json()["total"] == 2


def test_of_the_older_texts_only_that_in_the_body_permits_a_write(
    client: Client, market_id: str
) -> None:
    wallet = Keypair()
    body = {"market_id": market_id, "content": "hello"}
    frontend = proof(wallet, f"Sign in to ZMART\nTimestamp: {milliseconds()}")
    for answer in (
        post(client, body, header(wallet)),
        post(client, body | frontend),
        post(client, body, in_header(signed_in(wallet))),
    ):
        assert answer.status_code == 401, answer.text
        assert "a read only" in answer.text
        assert "POST /api/discussions/message" in answer.text
    assert post(client, body | signed_in(wallet)).status_code == 201
    one_line_less = proof(wallet, f"{SIGN_IN}\nTimestamp: {milliseconds()}")
    assert post(client, body | one_line_less).status_code == 201


def _cases() -> dict[str, tuple[dict[str, Any], dict[str, str], int, str]]:
    wallet, other = Keypair(), Keypair()
    good, earlier = signed_in(wallet), signed_in(wallet, 1)
    return {
        "nothing": ({}, {}, 401, "message"),
        "no signature": ({"message": good["message"], "wallet": good["wallet"]}, {}, 401, "sig"),
        "no token": ({}, {"Authorization": "Bearer "}, 401, "Signature"),
        "empty header": ({}, {"Authorization": "Signature "}, 401, "message"),
        "too old": (signed_in(wallet, 301), {}, 401, "message"),
        "from the future": (signed_in(wallet, -301), {}, 401, "message"),
        "old header": ({}, header(wallet, 301), 401, "message"),
        "text around it": (
            proof(wallet, f"Claim!\n{SIGN_IN}\nTimestamp: {milliseconds()}"),
            {},
            401,
            "message",
        ),
        "text after it": (
            proof(wallet, f"{SIGN_IN}\nTimestamp: {milliseconds()} "),
            {},
            401,
            "message",
        ),
        "other text": (proof(wallet, f"Hello {milliseconds()}"), {}, 401, "message"),
        "no time": (proof(wallet, SIGN_IN), {}, 401, "message"),
        "other wallet": (good | {"wallet": str(other.pubkey())}, {}, 401, "signature"),
        "other message": (good | {"message": earlier["message"]}, {}, 401, "signature"),
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
