"""Sessions in cookies: set so that no script and no other site can use them."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from api.identity import cookies
from tests.api.seed import market, wallet
from tests.api.signing_in import ORIGIN, bearer, sign_in, signed_text

Client = TestClient[Litestar]
ALICE = wallet(1)
PROPOSED = b"\x10" * 32
COMMENT = {"market_id": PROPOSED.hex(), "content": "hello"}
PAGE = {"Origin": ORIGIN}


def signed_in(client: Client) -> tuple[dict[str, str], dict[str, Any]]:
    """The header that the browser sends from now on, and the answer."""
    body = signed_text(client, ALICE, **PAGE) | {"cookies": True}
    answer = client.post("/api/auth/verify", json=body, headers=PAGE)
    assert answer.status_code == 200, answer.text
    client.cookies.clear()  # the tests send them themselves
    return {"Cookie": _sent(answer.headers.get_list("set-cookie"))}, answer.json()


def _sent(set_cookies: list[str]) -> str:
    return "; ".join(one.partition(";")[0] for one in set_cookies)


def test_cookies_are_out_of_reach(client: Client) -> None:
    body = signed_text(client, ALICE, **PAGE) | {"cookies": True}
    answer = client.post("/api/auth/verify", json=body, headers=PAGE)
    found = answer.headers.get_list("set-cookie")
    assert [one.partition("=")[0] for one in found] == [cookies.ACCESS, cookies.REFRESH]
    for one, seconds in zip(found, (600, 14 * 86_400), strict=True):
        attributes = {part.strip().lower() for part in one.split(";")[1:]}
        assert {"path=/", "secure", "httponly", "samesite=strict"} <= attributes
        assert not any(part.startswith("domain") for part in attributes)
        (age,) = (part for part in attributes if part.startswith("max-age="))
        assert seconds - 60 <= int(age.removeprefix("max-age=")) <= seconds
    assert (answer.json()["access_token"], answer.json()["refresh_token"]) == (None, None)
    assert answer.json()["csrf_token"]


def test_sign_in_without_cookies_sets_none(client: Client) -> None:
    answer = client.post("/api/auth/verify", json=signed_text(client, ALICE))
    assert "set-cookie" not in answer.headers
    assert answer.json()["csrf_token"] is None


def test_cookie_identifies_reads(client: Client) -> None:
    cookie, _ = signed_in(client)
    assert client.get("/api/users/me", headers=cookie).json()["wallet"] == str(ALICE.pubkey())


def test_cookie_counts_only_with_origin_and_token(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, PROPOSED)
    cookie, answer = signed_in(client)
    token = {cookies.CSRF_HEADER: answer["csrf_token"]}
    for headers in (
        {},
        PAGE,
        token,
        PAGE | {cookies.CSRF_HEADER: ""},
        PAGE | {cookies.CSRF_HEADER: answer["csrf_token"][:-1]},
        PAGE | {cookies.CSRF_HEADER: answer["session"]},
        token | {"Origin": "https://evil.example"},
        token | {"Origin": "null"},
    ):
        refused = client.post("/api/discussions", json=COMMENT, headers=cookie | headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_token_invalid")
        ended = client.delete(f"/api/auth/sessions/{answer['session']}", headers=cookie | headers)
        assert ended.status_code == 403
    sent = client.post("/api/discussions", json=COMMENT, headers=cookie | PAGE | token)
    assert sent.status_code == 201, sent.text


def test_token_of_another_session_does_not_count(client: Client) -> None:
    first, _ = signed_in(client)
    _, second = signed_in(client)
    token = {cookies.CSRF_HEADER: second["csrf_token"]}
    sent = client.post("/api/discussions", json=COMMENT, headers=first | PAGE | token)
    assert (sent.status_code, sent.json()["code"]) == (403, "csrf_token_invalid")


def test_page_reads_its_token_again(client: Client) -> None:
    cookie, answer = signed_in(client)
    assert client.get("/api/users/me", headers=cookie).json()["csrf_token"] == answer["csrf_token"]


def test_refresh_by_cookie_sets_the_next(client: Client) -> None:
    cookie, answer = signed_in(client)
    for headers in ({}, {"Origin": "https://evil.example"}):
        refused = client.post("/api/auth/refresh", headers=cookie | headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_token_invalid")
    renewed = client.post("/api/auth/refresh", headers=cookie | PAGE)
    assert renewed.status_code == 200, renewed.text
    assert renewed.json()["csrf_token"] == answer["csrf_token"]
    assert renewed.json()["refresh_token"] is None
    client.cookies.clear()
    later = {"Cookie": _sent(renewed.headers.get_list("set-cookie"))}
    assert later != cookie
    assert client.get("/api/users/me", headers=later).status_code == 200


def test_logout_removes_the_cookies(client: Client) -> None:
    cookie, _ = signed_in(client)
    assert client.post("/api/auth/logout", headers=cookie).status_code == 403
    answer = client.post("/api/auth/logout", headers=cookie | PAGE)
    assert answer.status_code == 200
    removed = answer.headers.get_list("set-cookie")
    assert len(removed) == 2
    assert all("max-age=0" in one.lower() for one in removed)


def test_cookie_that_is_not_valid_counts_as_none(client: Client) -> None:
    body = signed_text(client, ALICE)
    for value in ("x", "a.b.c", ""):
        headers = {"Cookie": f"theme=dark; {cookies.ACCESS}={value}"}
        assert client.get("/api/markets", headers=headers).status_code == 200
        assert client.get("/api/users/me", headers=headers).status_code == 401
    assert client.post("/api/auth/verify", json=body, headers=headers).status_code == 200


def test_header_is_not_overruled_by_a_cookie(client: Client) -> None:
    cookie, _ = signed_in(client)
    other = sign_in(client, wallet(2))
    me = client.get("/api/users/me", headers=cookie | bearer(other)).json()
    assert me["wallet"] == str(wallet(2).pubkey())
    wrong = cookie | {"Authorization": "Bearer a.b.c"}
    assert client.get("/api/users/me", headers=wrong).status_code == 401


def test_two_cookies_of_one_name_count_as_none(client: Client) -> None:
    cookie, _ = signed_in(client)
    doubled = {"Cookie": f"{cookies.ACCESS}=a.b.c; {cookie['Cookie']}"}
    assert client.get("/api/users/me", headers=doubled).status_code == 401


def test_other_sites_set_no_cookies(client: Client) -> None:
    """A foreign page cannot sign a visitor in as somebody else."""
    for headers in ({}, {"Origin": "https://evil.example"}):
        body = signed_text(client, ALICE) | {"cookies": True}
        answer = client.post("/api/auth/verify", json=body, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_pages_may_send_the_token(client: Client) -> None:
    asked = client.options(
        "/api/discussions",
        headers=PAGE
        | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, x-csrf-token",
        },
    )
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_forms_sign_nobody_in(client: Client, kind: str) -> None:
    """What a page may send without asking first is no JSON."""
    answer = client.post(
        "/api/auth/verify", content=b'{"wallet": "x"}', headers=PAGE | {"Content-Type": kind}
    )
    assert answer.status_code == 415
