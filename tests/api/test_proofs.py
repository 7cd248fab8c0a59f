"""A signature permits one act once, and nothing stored is shown before it is verified."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from pydantic import SecretStr
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from api.app import create_app
from api.identity import webhook_auth
from tests.api.running_api import running
from tests.api.seed import market, wallet
from tests.api.wallets import header, in_header, proof, signed, signed_in
from tests.proofs.test_signatures import Layout, documented, version_1
from tests.proofs.test_signatures import ledger as ledger_envelope
from zmart_pipelines.settings import Settings

Client = TestClient[Litestar]
PROPOSED = b"\x10" * 32
COMMENT = {"market_id": PROPOSED.hex(), "content": "hello"}
VOTE = {"market_id": PROPOSED.hex(), "vote": True}
FORGED = str(Keypair().sign_message(b"something else"))


@pytest.fixture(autouse=True)
def _market(request: pytest.FixtureRequest) -> None:
    if "ledger" in request.fixturenames or "client" in request.fixturenames:
        with request.getfixturevalue("ledger").begin() as conn:
            market(conn, PROPOSED, state=0)


@pytest.fixture
def accepting(api_settings: Settings, ledger: Engine) -> Iterator[Client]:
    """An API that accepts older clients' ballots."""
    changed = api_settings.model_copy(update={"accept_older_ballots": True})
    with TestClient(create_app(changed), raise_server_exceptions=False) as made:
        yield made


def ballot(client: Client, voter: Keypair, choice: str = "like") -> dict[str, Any]:
    """A ballot signed with the text that the API returns."""
    url = f"/api/votes/proposal/{PROPOSED.hex()}/message?vote={choice}"
    return VOTE | {"vote": choice} | proof(voter, client.get(url).json()["message"])


def rows(ledger: Engine, table: str) -> int:
    with ledger.connect() as conn:
        return int(conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_stored_ballot_is_not_shown_for_a_forged_signature(client: Client) -> None:
    victim = wallet(1)
    stored = ballot(client, victim)
    key = {"Idempotency-Key": "vote-1"}
    assert client.post("/api/votes/proposal", json=stored, headers=key).status_code == 201
    forged = ballot(client, victim) | {"signature": FORGED}
    made_up = VOTE | {"wallet": str(victim.pubkey()), "message": "hi", "signature": FORGED}
    for body in (forged, made_up, made_up | {"vote": False}):
        for headers in ({}, key):
            answer = client.post("/api/votes/proposal", json=body, headers=headers)
            assert answer.status_code == 401, answer.text
            assert stored["signature"] not in answer.text
            assert "stored" not in answer.json()


def test_ballots_signature_never_signs_in(accepting: Client, ledger: Engine) -> None:
    """What a bundle or a conflict shows of an older client's ballot is good for nothing else."""
    victim = wallet(1)
    sign_in = signed_in(victim)
    assert accepting.post("/api/votes/proposal", json=VOTE | sign_in).status_code == 201
    published = accepting.get(f"/api/markets/{PROPOSED.hex()}/votes").json()["votes"][0]
    assert published["signature"] == sign_in["signature"]
    trade = {"market_id": PROPOSED.hex(), "outcome": True, "max_cost": 10**9}
    for body in (COMMENT | sign_in, COMMENT | {"content": "other"} | sign_in):
        answer = accepting.post("/api/discussions", json=body)
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (401, "signature")
    for carrier in ({"json": trade | sign_in}, {"json": trade, "headers": in_header(sign_in)}):
        answer = accepting.post("/api/trades/buy", **carrier)
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (401, "signature")
    assert rows(ledger, "community.discussions") == 0


def test_signature_that_signed_in_is_no_ballot(accepting: Client) -> None:
    sign_in = signed_in(wallet(1))
    assert accepting.post("/api/discussions", json=COMMENT | sign_in).status_code == 201
    answer = accepting.post("/api/votes/proposal", json=VOTE | sign_in)
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (401, "signature")
    # The wallet still has its vote.
    own = ballot(accepting, wallet(1))
    assert accepting.post("/api/votes/proposal", json=own).status_code == 201


@pytest.mark.parametrize("older", [True, False], ids=["sign-in text", "own text"])
def test_signature_serves_one_write_once(client: Client, ledger: Engine, older: bool) -> None:
    author = wallet(1)
    body = (
        COMMENT | signed_in(author)
        if older
        else signed(client, author, "/api/discussions", COMMENT)
    )
    first = client.post("/api/discussions", json=body)
    assert first.status_code == 201, first.text
    # The same request is the same act, in any order of its fields.
    again = client.post("/api/discussions", json=dict(reversed(body.items())))
    assert (again.status_code, again.json()) == (201, first.json())
    others = [
        ("POST", "/api/discussions", body | {"content": "hello "}),
        ("POST", "/api/discussions", body | {"market_id": "20" * 32}),
        (
            "DELETE",
            f"/api/discussions/{first.json()['discussion']['id']}",
            {name: body[name] for name in ("message", "signature", "wallet")},
        ),
    ]
    for method, path, other in others:
        answer = client.request(method, path, json=other)
        assert answer.status_code == 401, answer.text
    assert rows(ledger, "community.discussions") == 1
    with ledger.connect() as conn:
        deleted = conn.execute(text("SELECT deleted_at FROM community.discussions")).scalar_one()
    assert deleted is None


def test_concurrent_uses_of_a_signature_are_one_write(client: Client, ledger: Engine) -> None:
    sign_in = signed_in(wallet(1))
    bodies = [COMMENT | {"content": f"number {number % 4}"} | sign_in for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: client.post("/api/discussions", json=body), bodies))
    assert rows(ledger, "community.discussions") == 1
    served = [answer for answer in answers if answer.status_code == 201]
    assert len(served) == 4
    assert {answer.status_code for answer in answers} == {201, 401}


def test_deletion_is_repeated_but_not_moved(client: Client) -> None:
    author = wallet(1)
    ids = [
        client.post(
            "/api/discussions", json=signed(client, author, "/api/discussions", body)
        ).json()["discussion"]["id"]
        for body in (COMMENT, COMMENT | {"content": "two"})
    ]
    body = signed(client, author, f"/api/discussions/{ids[0]}")
    answers = [client.request("DELETE", f"/api/discussions/{ids[0]}", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    moved = client.request("DELETE", f"/api/discussions/{ids[1]}", json=body)
    assert moved.status_code == 401
    assert "'subject' differs" in moved.text


def test_refused_write_leaves_the_signature_unused(client: Client, owner: Engine) -> None:
    body = signed(client, wallet(1), "/api/discussions", COMMENT | {"market_id": "ee" * 32})
    assert client.post("/api/discussions", json=body).status_code == 404
    assert rows(owner, "community.signed_requests") == 0


def test_text_to_sign_is_of_the_request(client: Client) -> None:
    answer = client.post("/api/discussions/message", json=COMMENT)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["action"], found["subject"]) == ("comment", PROPOSED.hex())
    assert f"body: {found['body']}" in found["message"]
    assert client.post("/api/discussions/message", json=COMMENT).json()["nonce"] != found["nonce"]
    # The proof's own fields are not part of what is signed.
    with_proof = client.post("/api/discussions/message", json=COMMENT | signed_in(wallet(1)))
    assert with_proof.json()["body"] == found["body"]


@pytest.mark.parametrize("layout", ["ledger", "documented", "version 1"])
def test_hardware_wallets_write_and_vote(client: Client, layout: str) -> None:
    device = wallet(1)
    key = bytes(device.pubkey())
    layouts: dict[str, Layout] = {
        "ledger": lambda text: ledger_envelope(text, 1),
        "documented": lambda text: documented(text, 0, bytes(32), key),
        "version 1": lambda text: version_1(text, key),
    }
    envelope = layouts[layout]

    def sign(body: dict[str, Any]) -> dict[str, Any]:
        signature = device.sign_message(envelope(body["message"].encode()))
        return body | {"signature": str(signature)}

    vote = sign(ballot(client, device))
    assert client.post("/api/votes/proposal", json=vote).status_code == 201
    comment = sign(signed(client, device, "/api/discussions", COMMENT))
    assert client.post("/api/discussions", json=comment).status_code == 201
    others = vote | {"wallet": str(wallet(2).pubkey())}
    assert client.post("/api/votes/proposal", json=others).status_code == 401


HEADERS = [
    "Signature " + "&".join(f"field{number}=x" for number in range(9)),
    "Signature message=a&message=b&signature=c&wallet=d",
    "Signature message=%00&signature=x&wallet=y",
    "Signature message=%ff%fe&signature=x&wallet=y",
    "Signature message=a;signature=b",
    "Signature",
    "signature =&=&=",
    "Bearer",
    "",
    " ",
]


@pytest.fixture(scope="module")
def shared(module_settings: Settings) -> Iterator[Client]:
    """One client for all headers: none of them may write."""
    with TestClient(create_app(module_settings), raise_server_exceptions=False) as made:
        yield made


ROUTES = [
    ("POST", "/api/discussions", COMMENT),
    ("POST", "/api/votes/proposal", VOTE),
    ("POST", "/api/trades/buy", {"market_id": "ab" * 32, "outcome": True, "max_cost": 10**9}),
    ("DELETE", "/api/discussions/00000000-0000-0000-0000-000000000000", None),
]


@pytest.mark.parametrize("value", HEADERS)
def test_malformed_header_is_a_client_error(shared: Client, value: str) -> None:
    for method, path, body in ROUTES:
        answer = shared.request(method, path, json=body, headers={"Authorization": value})
        assert answer.status_code in (400, 401), (path, answer.text)
        assert answer.json()["message"]


header_bytes = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
).map(lambda value: value.encode("latin-1"))
pairs = st.lists(
    st.tuples(st.sampled_from(["message", "signature", "wallet", "x"]), st.text(max_size=90)),
    max_size=12,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    authorization=header_bytes
    | pairs.map(
        lambda found: (
            b"Signature " + "&".join(f"{name}={quote(value)}" for name, value in found).encode()
        )
    ),
    key=header_bytes,
    times=st.integers(1, 2),
    route=st.sampled_from(ROUTES),
)
@example(authorization=b"Signature " + b"a=b&" * 9, key=b"", times=1, route=ROUTES[0])
def test_any_header_gets_a_client_error(
    shared: Client, authorization: bytes, key: bytes, times: int, route: tuple[str, str, Any]
) -> None:
    method, path, body = route
    headers = [(b"Authorization", authorization)] * times + [(b"Idempotency-Key", key)]
    answer = shared.request(method, path, json=body, headers=headers)
    assert answer.status_code in (400, 401), answer.text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(authorization=header_bytes, signature=header_bytes)
@example(authorization=b"", signature=b"\xff" * 64)
@example(authorization=b"", signature=b"a" * 63)
def test_any_webhook_header_is_unauthorized(
    module_settings: Settings, authorization: bytes, signature: bytes
) -> None:
    headers = [(b"authorization", authorization), (b"x-helius-signature", signature)]
    signing = module_settings.model_copy(update={"webhook_hmac_secret": SecretStr("k" * 40)})
    if not webhook_auth.has_valid_secret(headers, signing):
        assert not webhook_auth.has_valid_signature(headers, b"[]", signing)


def test_known_idempotency_key_needs_the_proof_too(client: Client) -> None:
    key = {"Idempotency-Key": "vote-1"}
    stored = ballot(client, wallet(1))
    assert client.post("/api/votes/proposal", json=stored, headers=key).status_code == 201
    forged = client.post("/api/votes/proposal", json=stored | {"signature": FORGED}, headers=key)
    assert (forged.status_code, forged.json()["details"][0]["field"]) == (401, "signature")


@pytest.mark.process
def test_client_that_leaves_mid_body_is_not_our_error(
    api_settings: Settings, tmp_path: Path
) -> None:
    with running(api_settings, tmp_path) as api:
        for path in ("/api/discussions", "/api/votes/proposal", "/api/webhooks/helius"):
            address = ("127.0.0.1", api_settings.api_port)
            with socket.create_connection(address) as connection:
                connection.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    f"Authorization: {'hook-' + 's' * 40}\r\nContent-Length: 500\r\n\r\n{{".encode()
                )
        # The server has handled them when it has answered what came later.
        for _ in range(20):
            assert httpx.get(f"{api.url}/health", trust_env=False).status_code == 200
        api.stop(15)
        log = api.log.read_text()
    assert "Traceback" not in log
    assert "unhandled" not in log


def test_header_of_older_clients_identifies_reads(client: Client) -> None:
    """Preparing a transaction stores nothing: the header is enough until the chain is asked."""
    trade = {"market_id": PROPOSED.hex(), "outcome": True, "max_cost": 10**9}
    for _ in range(2):
        answer = client.post("/api/trades/buy", json=trade, headers=header(wallet(1)))
        assert answer.status_code == 503, answer.text
