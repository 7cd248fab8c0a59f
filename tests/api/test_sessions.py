"""Sessions: refreshed, ended, listed; and what a session permits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jwt
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, text

from api.app import create_app
from api.identity.sessions import access_tokens
from tests.api.conftest import SIGNING_KEY
from tests.api.seed import market, wallet
from tests.api.signing_in import bearer, session_of, sign_in
from tests.api.wallets import header, proof, signed_in
from zmart_pipelines.proofs.refresh_tokens import parse
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role

Client = TestClient[Litestar]
ALICE, BOB = wallet(1), wallet(2)
PROPOSED = b"\x10" * 32
COMMENT = {"market_id": PROPOSED.hex(), "content": "hello"}
WAIT_SECONDS = 60


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    """An engine of the owner, who sees and changes every row."""
    made = role_engine(Role.OWNER, database)
    with made.begin() as conn:
        market(conn, PROPOSED, state=0)
    yield made
    made.dispose()


def refresh(client: Client, tokens: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    return answer.status_code, answer.json()


def refused(client: Client, tokens: dict[str, Any], code: str) -> None:
    status, body = refresh(client, tokens)
    assert (status, body["code"]) == (401, code)


def set_back(owner: Engine, column: str, interval: str) -> None:
    """Make a time of every refresh token or session earlier."""
    table, name = column.split(".")
    with owner.begin() as conn:
        conn.execute(
            text(f"UPDATE accounts.{table} SET {name} = {name} - CAST(:age AS interval)"),
            {"age": interval},
        )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_refused(client: Client, tokens: dict[str, Any]) -> bool:
    """Whether a read with the access token is refused; without a look at the database."""
    answer = client.get("/api/markets", headers=bearer(tokens))
    return answer.status_code == 401 and answer.json()["code"] == "session_ended"


def test_refresh_gives_new_tokens_of_the_session(client: Client) -> None:
    first = sign_in(client, ALICE)
    status, second = refresh(client, first)
    assert status == 200
    assert second["session"] == first["session"]
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    # Access tokens live on until they expire.
    for tokens in (first, second):
        assert client.get("/api/users/me", headers=bearer(tokens)).status_code == 200
    assert refresh(client, second)[0] == 200


def test_lost_answer_is_given_again(client: Client, owner: Engine) -> None:
    first = sign_in(client, ALICE)
    _, second = refresh(client, first)
    status, again = refresh(client, first)
    assert (status, again["refresh_token"]) == (200, second["refresh_token"])
    _, third = refresh(client, second)
    # The successor has been used meanwhile: two hold the session.
    refused(client, first, "refresh_token_reused")
    refused(client, third, "session_ended")


def test_stolen_refresh_token_ends_the_session(client: Client, owner: Engine) -> None:
    first = sign_in(client, ALICE)
    _, second = refresh(client, first)
    set_back(owner, "refresh_tokens.used_at", "11 seconds")
    refused(client, first, "refresh_token_reused")
    refused(client, second, "session_ended")
    refused(client, first, "session_ended")
    until(lambda: is_refused(client, second))
    with owner.connect() as conn:
        reasons = conn.execute(text("SELECT end_reason FROM accounts.sessions")).scalars().all()
    assert reasons == ["reuse"]


def test_refreshes_at_once_get_one_successor(client: Client, owner: Engine) -> None:
    first = sign_in(client, ALICE)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: refresh(client, first), range(32)))
    assert {status for status, _ in answers} == {200}
    assert len({body["refresh_token"] for _, body in answers}) == 1
    with owner.connect() as conn:
        found = conn.execute(
            text("SELECT count(*), count(used_at) FROM accounts.refresh_tokens")
        ).one()
    assert tuple(found) == (2, 1)


def test_refresh_across_a_new_signing_key(
    client: Client, api_settings: Settings, owner: Engine
) -> None:
    first = sign_in(client, ALICE)
    _, second = refresh(client, first)
    rotated = api_settings.model_copy(
        update={
            "auth_signing_key": Settings(auth_signing_key="n" * 43).auth_signing_key,
            "auth_signing_key_previous": Settings(auth_signing_key=SIGNING_KEY).auth_signing_key,
        }
    )
    with TestClient(create_app(rotated), raise_server_exceptions=False) as after:
        assert after.get("/api/users/me", headers=bearer(second)).status_code == 200
        # The answer before the restart was lost.
        status, again = refresh(after, first)
        assert (status, again["refresh_token"]) == (200, second["refresh_token"])
        status, third = refresh(after, second)
        assert status == 200
        kids = [jwt.get_unverified_header(one["access_token"])["kid"] for one in (second, third)]
        published = [key["kid"] for key in after.get("/.well-known/jwks.json").json()["keys"]]
        assert published == kids[::-1]
    # A process that has only the previous key does not know the new one's tokens.
    answer = client.get("/api/users/me", headers=bearer(third))
    assert (answer.status_code, answer.json()["code"]) == (401, "access_token_invalid")
    assert "invalid_token" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("column", "age"),
    [("refresh_tokens.expires_at", "14 days"), ("sessions.expires_at", "60 days")],
)
def test_refresh_ends_with_token_and_session(
    client: Client, owner: Engine, column: str, age: str
) -> None:
    tokens = sign_in(client, ALICE)
    set_back(owner, column, f"{age} 1 second")
    assert refresh(client, tokens)[0] == 401


def test_refresh_token_lives_no_longer_than_the_session(client: Client, owner: Engine) -> None:
    tokens = sign_in(client, ALICE)
    set_back(owner, "sessions.expires_at", "59 days")
    _, renewed = refresh(client, tokens)
    assert renewed["refresh_expires_at"] == renewed["session_expires_at"]


@pytest.mark.parametrize("text", ["", "zrt_", "x" * 90, "zrt_" + "A" * 86, "zrt_" + "A" * 85 + "B"])
def test_made_up_refresh_token_is_refused(client: Client, text: str) -> None:
    answer = client.post("/api/auth/refresh", json={"refresh_token": text})
    assert (answer.status_code, answer.json()["code"]) == (401, "refresh_token_invalid")
    assert answer.json()["details"][0]["field"] == "refresh_token"


def test_refresh_token_of_another_wallet_is_refused(client: Client) -> None:
    """The wallet in the token chooses whose rows are asked; the secret is bound to it."""
    token = parse(sign_in(client, ALICE)["refresh_token"])
    assert token is not None
    other = type(token)(bytes(BOB.pubkey()), token.secret)
    refused(client, {"refresh_token": other.text}, "refresh_token_invalid")


def test_refresh_token_is_no_access_token(client: Client) -> None:
    tokens = sign_in(client, ALICE)
    headers = {"Authorization": f"Bearer {tokens['refresh_token']}"}
    assert client.get("/api/users/me", headers=headers).status_code == 401
    swapped = {"refresh_token": tokens["access_token"][:100]}
    assert client.post("/api/auth/refresh", json=swapped).status_code == 401


def test_ended_session_is_refused(client: Client, owner: Engine) -> None:
    first, second = sign_in(client, ALICE), sign_in(client, ALICE)
    assert not is_refused(client, first)
    path = f"/api/auth/sessions/{first['session']}"
    assert client.delete(path, headers=bearer(second)).status_code == 200
    # A write asks the database itself.
    answer = client.post("/api/discussions", json=COMMENT, headers=bearer(first))
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    until(lambda: is_refused(client, first))
    refused(client, first, "session_ended")
    assert client.delete(path, headers=bearer(second)).status_code == 404
    assert client.get("/api/users/me", headers=bearer(second)).status_code == 200


def test_logout_ends_the_session(client: Client) -> None:
    tokens = sign_in(client, ALICE)
    # As an older page does: the token was exchanged meanwhile.
    refresh(client, tokens)
    body = {"refresh_token": tokens["refresh_token"]}
    for _ in range(2):
        answer = client.post("/api/auth/logout", json=body)
        assert (answer.status_code, answer.json()) == (200, {"message": "Signed out"})
    until(lambda: is_refused(client, tokens))
    assert client.post("/api/auth/logout").status_code == 401


def test_sessions_are_the_wallets_own(client: Client) -> None:
    first, second, others = (sign_in(client, one) for one in (ALICE, ALICE, BOB))
    listed = client.get("/api/auth/sessions", headers=bearer(second)).json()
    assert listed["count"] == 2
    assert [row["id"] for row in listed["sessions"]] == [second["session"], first["session"]]
    assert [row["is_current"] for row in listed["sessions"]] == [True, False]
    assert listed["sessions"][0]["user_agent"] == "testclient"
    for session in (others["session"], uuid4()):
        answer = client.delete(f"/api/auth/sessions/{session}", headers=bearer(first))
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert client.get("/api/users/me", headers=bearer(others)).status_code == 200


def test_long_user_agent_is_cut(client: Client) -> None:
    client.headers["User-Agent"] = "x" * 1000
    tokens = sign_in(client, ALICE)
    me = client.get("/api/users/me", headers=bearer(tokens)).json()
    assert me["session"]["user_agent"] == "x" * 200


def test_session_permits_comments_and_deletions(client: Client, owner: Engine) -> None:
    session = session_of(client, ALICE)
    made = client.post("/api/discussions", json=COMMENT, headers=session)
    assert made.status_code == 201, made.text
    comment = made.json()["discussion"]
    assert comment["user_wallet"] == str(ALICE.pubkey())
    path = f"/api/discussions/{comment['id']}"
    assert client.delete(path, headers=session_of(client, BOB)).status_code == 403
    assert client.delete(path, headers=session).status_code == 200
    again = client.post("/api/discussions", json=COMMENT, headers=session)
    assert again.json()["discussion"]["id"] != comment["id"]


def test_sessions_writes_count_towards_the_limits(api_settings: Settings, owner: Engine) -> None:
    changed = api_settings.model_copy(update={"comments_per_wallet_hour": 3})
    with TestClient(create_app(changed), raise_server_exceptions=False) as client:
        session = session_of(client, ALICE)
        by_text = COMMENT | signed_in(ALICE)
        carriers: list[dict[str, Any]] = [
            {"json": COMMENT, "headers": session},
            {"json": by_text},
            {"json": COMMENT, "headers": session_of(client, ALICE)},
        ]
        for carrier in carriers:
            assert client.post("/api/discussions", **carrier).status_code == 201
        for carrier in carriers[::2]:
            answer = client.post("/api/discussions", **carrier)
            assert answer.status_code == 429, answer.text
            assert answer.json()["limit"]["name"] == "comments_per_wallet_hour"
        assert client.post(
            "/api/discussions", json=COMMENT, headers=session_of(client, BOB)
        ).is_success


def test_session_casts_no_ballot(client: Client, owner: Engine) -> None:
    session = session_of(client, ALICE)
    vote = {"market_id": PROPOSED.hex(), "vote": True}
    assert client.post("/api/votes/proposal", json=vote, headers=session).status_code == 401
    url = f"/api/votes/proposal/{PROPOSED.hex()}/message?vote=like"
    ballot = vote | proof(BOB, client.get(url).json()["message"])
    cast = client.post("/api/votes/proposal", json=ballot, headers=session)
    assert cast.status_code == 201
    assert cast.json()["data"][0]["user_wallet"] == str(BOB.pubkey())


def test_signed_text_counts_before_the_session(client: Client, owner: Engine) -> None:
    session = session_of(client, ALICE)
    made = client.post("/api/discussions", json=COMMENT | signed_in(BOB), headers=session)
    assert made.json()["discussion"]["user_wallet"] == str(BOB.pubkey())
    broken = COMMENT | signed_in(BOB) | {"signature": str(ALICE.sign_message(b"x"))}
    assert client.post("/api/discussions", json=broken, headers=session).status_code == 401
    part = COMMENT | {"wallet": str(ALICE.pubkey())}
    assert client.post("/api/discussions", json=part, headers=session).status_code == 401


def test_session_prepares_transactions(client: Client, owner: Engine) -> None:
    """No chain answers here: who is let in gets that far."""
    trade = {"market_id": PROPOSED.hex(), "outcome": True, "max_cost": 10**9}
    assert client.post("/api/trades/buy", json=trade).status_code == 401
    session = session_of(client, ALICE)
    assert client.post("/api/trades/buy", json=trade, headers=session).status_code == 503


def test_operators_are_named_in_the_settings(api_settings: Settings) -> None:
    changed = api_settings.model_copy(update={"operators": f" {ALICE.pubkey()} ,"})
    with TestClient(create_app(changed), raise_server_exceptions=False) as client:
        for one, expected in ((ALICE, True), (BOB, False)):
            me = client.get("/api/users/me", headers=session_of(client, one)).json()
            assert me["is_operator"] is expected


def test_expired_access_token_names_its_remedy(api_settings: Settings) -> None:
    short = api_settings.model_copy(update={"access_token_seconds": -10})
    with TestClient(create_app(short), raise_server_exceptions=False) as client:
        answer = client.get("/api/markets", headers=session_of(client, ALICE))
    assert (answer.status_code, answer.json()["code"]) == (401, "access_token_expired")
    assert "refresh" in answer.json()["message"]


def test_token_identifies_while_postgres_is_away(api_settings: Settings) -> None:
    away = {
        f"database_url_{role}": SecretStr(f"postgresql://x:x@127.0.0.1:{unused_port()}/x")
        for role in ("api", "read", "ingest")
    }
    changed = api_settings.model_copy(update={**away, "api_database_seconds": 1})
    token = access_tokens(changed)
    assert token is not None
    session = {
        "Authorization": "Bearer "
        + token.issue(
            wallet=bytes(ALICE.pubkey()),
            session=uuid4(),
            csrf="c",
            token_id="t",
            now=datetime.now(UTC),
        )
    }
    with TestClient(create_app(changed), raise_server_exceptions=False) as client:
        # Reads go on that need no table; everything else says that it cannot be done now.
        assert client.get("/.well-known/jwks.json", headers=session).status_code == 200
        for answer in (
            client.get("/api/users/me", headers=session),
            client.post("/api/discussions", json=COMMENT, headers=session),
            client.post("/api/auth/nonce", json={"wallet": str(ALICE.pubkey())}),
            client.post("/api/auth/refresh", json={"refresh_token": "zrt_" + "A" * 86}),
        ):
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "bearer", "Basic eDp5"])
def test_other_schemes_identify_none(client: Client, value: str) -> None:
    assert client.get("/api/markets", headers={"Authorization": value}).status_code == 200
    assert client.get("/api/users/me", headers={"Authorization": value}).status_code == 401


def test_older_carriers_can_be_turned_off(api_settings: Settings, owner: Engine) -> None:
    trade = {"market_id": PROPOSED.hex(), "outcome": True, "max_cost": 10**9}
    changed = api_settings.model_copy(update={"accept_older_signatures": False})
    with TestClient(create_app(changed), raise_server_exceptions=False) as client:
        for sent in (
            client.post("/api/trades/buy", json=trade, headers=header(ALICE)),
            client.post("/api/trades/buy", json=trade | signed_in(ALICE)),
            client.post("/api/discussions", json=COMMENT | signed_in(ALICE)),
        ):
            assert sent.status_code == 401, sent.text
            assert "/api/auth/nonce" in sent.json()["message"]


def test_older_header_identifies_reads_for_an_hour(client: Client, owner: Engine) -> None:
    trade = {"market_id": PROPOSED.hex(), "outcome": True, "max_cost": 10**9}
    for age, status in ((59 * 60, 503), (61 * 60, 401), (-301, 401)):
        answer = client.post("/api/trades/buy", json=trade, headers=header(ALICE, age))
        assert answer.status_code == status, answer.text
    # It writes nothing, and the text of bodies is good for five minutes in the header too.
    written = client.post("/api/discussions", json=COMMENT, headers=header(ALICE))
    assert written.status_code == 401
    old = client.post("/api/trades/buy", json=trade | signed_in(ALICE, 301))
    assert old.status_code == 401
