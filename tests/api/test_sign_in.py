"""Sign-In With Solana through the API: one text, one session."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction
from sqlalchemy import Engine, text

from api.app import create_app
from tests.api.seed import wallet
from tests.api.signing_in import ORIGIN, bearer, sign_in, signed_text
from tests.proofs.test_signatures import Layout, documented, version_1
from tests.proofs.test_signatures import ledger as ledger_envelope
from zmart_pipelines.proofs.refresh_tokens import parse
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role

Client = TestClient[Litestar]
ALICE, MALLORY = wallet(1), wallet(2)
VERIFY = "/api/auth/verify"


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    """An engine of the owner, who sees and changes every row."""
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()


def sessions(owner: Engine) -> int:
    with owner.connect() as conn:
        return int(conn.execute(text("SELECT count(*) FROM accounts.sessions")).scalar_one())


def refused(client: Client, body: dict[str, Any], code: str) -> None:
    answer = client.post(VERIFY, json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, code), answer.text
    assert not answer.headers.get("set-cookie")


def signed(body: dict[str, Any], message: str, signer: Keypair = ALICE) -> dict[str, Any]:
    """The body with another text, signed."""
    return body | {"message": message, "signature": str(signer.sign_message(message.encode()))}


@pytest.mark.parametrize("path", ["/api/auth/verify", "/api/auth/login"])
def test_signed_text_starts_a_session(client: Client, path: str) -> None:
    answer = client.post(path, json=signed_text(client, ALICE))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    me = client.get("/api/users/me", headers=bearer(answer.json()))
    assert me.status_code == 200, me.text
    assert me.headers["cache-control"] == "no-store"
    assert me.json()["wallet"] == str(ALICE.pubkey())
    assert me.json()["session"]["id"] == answer.json()["session"]
    assert me.json()["is_operator"] is False


def test_input_is_that_of_the_text(client: Client) -> None:
    """A wallet that makes the text itself (``solana:signIn``) makes this text."""
    asked = client.post("/api/auth/nonce", json={"wallet": str(ALICE.pubkey())}).json()
    made = asked["input"]
    assert asked["message"] == (
        f"{made['domain']} wants you to sign in with your Solana account:\n{made['address']}\n\n"
        f"{made['statement']}\n\nURI: {made['uri']}\nVersion: {made['version']}\n"
        f"Chain ID: {made['chainId']}\nNonce: {made['nonce']}\nIssued At: {made['issuedAt']}\n"
        f"Expiration Time: {made['expirationTime']}"
    )


def test_domain_is_the_pages(client: Client) -> None:
    body = signed_text(client, ALICE, Origin=ORIGIN)
    assert body["message"].startswith("localhost:3001 wants you to sign in")
    assert client.post(VERIFY, json=body).status_code == 200
    for origin in ("https://evil.example", "null", "http://localhost:3001.evil.example"):
        answer = client.post(
            "/api/auth/nonce", json={"wallet": str(ALICE.pubkey())}, headers={"Origin": origin}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "cors_refused")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_wallets_sign_in_on_the_apis_own_pages(
    client: Client, api_settings: Settings, host: str
) -> None:
    own = f"{host}:{api_settings.api_port}"
    body = signed_text(client, ALICE, Origin=f"http://{own}")
    assert body["message"].startswith(f"{own} wants you to sign in")
    assert client.post(VERIFY, json=body).status_code == 200


def test_text_signs_in_once(client: Client, owner: Engine) -> None:
    body = signed_text(client, ALICE)
    assert client.post(VERIFY, json=body).status_code == 200
    for _ in range(3):
        refused(client, body, "nonce_used")
    assert sessions(owner) == 1


def test_failed_attempt_consumes_the_nonce(client: Client, owner: Engine) -> None:
    body = signed_text(client, ALICE)
    refused(client, body | {"signature": str(MALLORY.sign_message(b"x"))}, "signature_invalid")
    refused(client, body, "nonce_used")
    assert sessions(owner) == 0


def test_one_of_a_hundred_attempts_wins(client: Client, owner: Engine) -> None:
    """The nonce's row is locked until several attempts wait for it, each of which has found it."""
    body = signed_text(client, ALICE)
    with owner.connect() as holder, ThreadPoolExecutor(20) as pool:
        holder.execute(text("SELECT 1 FROM accounts.nonces FOR UPDATE"))
        attempts = [pool.submit(client.post, VERIFY, json=body) for _ in range(100)]
        _await_waiting(owner, 2)
        holder.rollback()
        answers = [attempt.result() for attempt in attempts]
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 99
    assert sessions(owner) == 1


def _await_waiting(owner: Engine, number: int) -> None:
    """Return once so many statements wait for a lock."""
    waiting = text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with owner.connect() as conn:
            if conn.execute(waiting).scalar_one() >= number:
                return
        time.sleep(0.01)
    raise AssertionError(f"no {number} statements wait for a lock")


CHANGES = {
    "domain": ("localhost:", "evil.example:"),
    "URI": ("URI: http://localhost", "URI: http://evil.example"),
    "chain": ("Chain ID: localnet", "Chain ID: mainnet"),
    "version": ("Version: 1", "Version: 2"),
    "statement": ("costs nothing", "costs all"),
    "address": (str(ALICE.pubkey()), str(MALLORY.pubkey())),
    "line more": ("\nVersion", "\nRequest ID: 7\nVersion"),
    "line less": ("Version: 1\n", ""),
    "line feed": ("costs nothing.", "costs nothing.\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_text_does_not_sign_in(client: Client, owner: Engine, change: str) -> None:
    """Though the wallet signed it, and the nonce is good."""
    body = signed_text(client, ALICE)
    changed = body["message"].replace(*CHANGES[change])
    assert changed != body["message"]
    refused(client, signed(body, changed), "signature_invalid")
    assert sessions(owner) == 0


def test_text_of_another_page_does_not_sign_in(client: Client, owner: Engine) -> None:
    """Of two allowed pages, each signs in by its own texts."""
    body = signed_text(client, ALICE, Origin=ORIGIN)
    refused(client, signed(body, body["message"].replace("3001", "3004")), "signature_invalid")
    assert sessions(owner) == 0


def test_nonce_is_the_wallets_own(client: Client, owner: Engine) -> None:
    body = signed_text(client, ALICE)
    address = str(MALLORY.pubkey())
    stolen = signed(body, body["message"], MALLORY) | {"wallet": address}
    refused(client, stolen, "nonce_used")
    changed = body["message"].replace(str(ALICE.pubkey()), address)
    refused(client, signed(stolen, changed, MALLORY), "nonce_used")
    assert sessions(owner) == 0


def test_times_are_compared(client: Client, owner: Engine) -> None:
    def age(nonce: dict[str, Any], issued: str, expires: str) -> dict[str, Any]:
        """A text that says it was given out at this time, as the database does."""
        message = nonce["message"]
        lines = dict(line.split(": ", 1) for line in message.split("\n")[5:])
        with owner.begin() as conn:
            row = conn.execute(
                text(
                    "UPDATE accounts.nonces SET issued_at = issued_at + CAST(:issued AS interval),"
                    " expires_at = expires_at + CAST(:expires AS interval) WHERE nonce = :nonce"
                    " RETURNING issued_at, expires_at"
                ),
                {"nonce": lines["Nonce"], "issued": issued, "expires": expires},
            ).one()
        for label, moment in (("Issued At", row[0]), ("Expiration Time", row[1])):
            message = message.replace(lines[label], moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return signed(nonce, message)

    old = age(signed_text(client, ALICE), "-301 seconds", "-301 seconds")
    refused(client, old, "signature_expired")
    longer = age(signed_text(client, ALICE), "0", "1 second")
    refused(client, longer, "signature_invalid")
    # The text says another time than the nonce.
    for seconds in ("-61 seconds", "61 seconds"):
        body = signed_text(client, ALICE)
        with owner.begin() as conn:
            conn.execute(
                text("UPDATE accounts.nonces SET issued_at = issued_at + CAST(:s AS interval)"),
                {"s": seconds},
            )
        refused(client, body, "signature_invalid")
    assert sessions(owner) == 0


def test_signed_transaction_does_not_sign_in(client: Client, owner: Engine) -> None:
    """Neither the transaction's signature with the text, nor the transaction as the text."""
    body = signed_text(client, ALICE)
    pay = transfer(
        TransferParams(from_pubkey=ALICE.pubkey(), to_pubkey=MALLORY.pubkey(), lamports=1)
    )
    message = Message.new_with_blockhash([pay], ALICE.pubkey(), Hash.default())
    signature = Transaction([ALICE], message, Hash.default()).signatures[0]
    refused(client, body | {"signature": str(signature)}, "signature_invalid")
    as_text = bytes(message).decode("latin-1").replace("\x00", "0")
    refused(client, body | {"message": as_text, "signature": str(signature)}, "signature_invalid")
    assert sessions(owner) == 0


def test_other_texts_of_ours_do_not_sign_in(client: Client) -> None:
    comment = client.post(
        "/api/discussions/message", json={"market_id": "10" * 32, "content": "hello"}
    ).json()["message"]
    body = signed_text(client, ALICE)
    for message in (comment, "Sign in to ZMART\nTimestamp: 1790000000000"):
        refused(client, signed(body, message), "signature_invalid")


@pytest.mark.parametrize("layout", ["ledger", "documented", "version 1"])
def test_hardware_wallets_sign_in(client: Client, layout: str) -> None:
    key = bytes(ALICE.pubkey())
    layouts: dict[str, Layout] = {
        "ledger": lambda text: ledger_envelope(text, 0),
        "documented": lambda text: documented(text, 0, bytes(32), key),
        "version 1": lambda text: version_1(text, key),
    }
    body = signed_text(client, ALICE)
    enveloped = layouts[layout](body["message"].encode())
    body["signature"] = str(ALICE.sign_message(enveloped))
    assert client.post(VERIFY, json=body).status_code == 200


def test_sign_in_takes_over_no_session(client: Client) -> None:
    """Whatever session the request already carries, its own is new."""
    planted = sign_in(client, MALLORY)
    body = signed_text(client, ALICE)
    headers = bearer(planted) | {
        "Cookie": f"__Host-zmart-access={planted['access_token']};"
        f" __Host-zmart-refresh={planted['refresh_token']}"
    }
    own = client.post(VERIFY, json=body, headers=headers).json()
    assert own["session"] != planted["session"]
    assert own["wallet"] == str(ALICE.pubkey())
    chosen = signed_text(client, ALICE) | {"session": planted["session"]}
    assert client.post(VERIFY, json=chosen).status_code == 400


def test_without_a_key_no_wallet_signs_in(api_settings: Settings) -> None:
    changed = api_settings.model_copy(update={"auth_signing_key": None})
    with TestClient(create_app(changed), raise_server_exceptions=False) as client:
        asked = client.post("/api/auth/nonce", json={"wallet": str(ALICE.pubkey())})
        assert (asked.status_code, asked.headers["retry-after"]) == (503, "2")
        assert client.get("/.well-known/jwks.json").json() == {"keys": []}
        used = client.get("/api/markets", headers={"Authorization": "Bearer a.b.c"})
        assert used.status_code == 401


def test_no_token_is_logged_or_stored(
    client: Client, owner: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = sign_in(client, ALICE)
    renewed = client.post(
        "/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]}
    ).json()
    again = client.post("/api/auth/refresh", json={"refresh_token": "zrt_" + "A" * 86})
    broken = client.get("/api/users/me", headers={"Authorization": f"Bearer {'x' * 40}"})
    secrets = [
        *(tokens["access_token"], tokens["refresh_token"]),
        *(renewed["access_token"], renewed["refresh_token"], "A" * 86, "x" * 40, "k" * 43),
    ]
    # Bytes are printed in hex.
    secrets += [
        token.secret.hex()
        for one in (tokens, renewed)
        if (token := parse(one["refresh_token"])) is not None
    ]
    assert len(secrets) == 9
    with owner.connect() as conn:
        stored = [
            str(conn.execute(text(f"SELECT array_agg(t::text) FROM accounts.{name} AS t")).scalar())
            for name in ("nonces", "sessions", "refresh_tokens")
        ]
    seen = "\n".join((caplog.text, *stored, again.text, broken.text))
    assert stored[1] != "None"
    for secret in secrets:
        assert secret not in seen
        assert secret.rpartition(".")[2] not in seen
