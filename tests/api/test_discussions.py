"""Threads, replies, edits, votes, reports and moderation, through the API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from tests.api.seed import market, wallet
from tests.api.signing_in import bearer, sign_in
from tests.api.test_list_pages import walk
from tests.api.wallets import proof
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.store.queries import api_keys

Client = TestClient[Litestar]
MARKET, OTHER = b"\xcd" * 32, b"\xce" * 32
AUTHOR, READER = wallet(1), wallet(2)
LIST = f"/api/markets/{MARKET.hex()}/discussions"


@pytest.fixture(autouse=True)
def _markets(ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, MARKET)
        market(conn, OTHER)


@pytest.fixture
def operator(owner: Engine) -> dict[str, str]:
    """Headers of a service that is an operator."""
    key = service_keys.new_key()
    with owner.begin() as conn:
        api_keys.create_key(
            conn,
            name="moderation",
            prefix=key[: service_keys.SHOWN],
            key_hash=service_keys.key_hash(key),
            scopes=[service_keys.OPERATOR],
        )
    return {"X-Api-Key": key}


def act(
    client: Client,
    sender: Keypair,
    request: str,
    action: str,
    subject: str,
    body: dict[str, Any] | None = None,
) -> Any:
    """Send a write, such as ``PUT /path``, with the text signed that permits it."""
    body = body or {}
    asked = {"action": action, "subject": subject, "body": body}
    composed = client.post("/api/messages", json=asked)
    assert composed.status_code == 200, composed.text
    method, path = request.split()
    return client.request(method, path, json=body | proof(sender, composed.json()["message"]))


def say(
    client: Client, words: str, parent: str | None = None, sender: Keypair = AUTHOR
) -> dict[str, Any]:
    body = {"content": words} | ({} if parent is None else {"parent_id": parent})
    answer = act(client, sender, f"POST {LIST}", "comment", MARKET.hex(), body)
    assert answer.status_code == 201, answer.text
    comment: dict[str, Any] = answer.json()["discussion"]
    return comment


def vote(client: Client, comment: str, sender: Keypair = READER, method: str = "PUT") -> Any:
    action = "vote-comment" if method == "PUT" else "unvote-comment"
    return act(client, sender, f"{method} /api/discussions/{comment}/vote", action, comment)


def listed(client: Client, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"{LIST}{query}")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["discussions"]
    return rows


def replies(client: Client, thread: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get(f"/api/discussions/{thread}/replies").json()[
        "discussions"
    ]
    return rows


def test_reply_to_a_reply_is_in_the_thread(client: Client) -> None:
    thread = say(client, "Who is right?")
    first = say(client, "I am.", thread["id"], READER)
    second = say(client, "No, I am.", first["id"])
    assert (thread["parent_id"], first["parent_id"]) == (None, thread["id"])
    assert second["parent_id"] == thread["id"]
    assert replies(client, thread["id"]) == [first, second]
    (shown,) = listed(client)
    assert (shown["id"], shown["replies"]) == (thread["id"], 2)
    assert client.get(LIST).json()["total"] == 1
    body = {"content": "elsewhere", "parent_id": thread["id"]}
    path = f"/api/markets/{OTHER.hex()}/discussions"
    elsewhere = act(client, AUTHOR, f"POST {path}", "comment", OTHER.hex(), body)
    assert (elsewhere.status_code, elsewhere.json()["details"][0]["field"]) == (400, "parent_id")
    nowhere = body | {"parent_id": "00000000-0000-0000-0000-000000000000"}
    answer = act(client, AUTHOR, f"POST {LIST}", "comment", MARKET.hex(), nowhere)
    assert (answer.status_code, answer.json()["code"]) == (404, "comment_not_found")


def test_deleted_thread_stays_without_its_text_while_it_has_replies(client: Client) -> None:
    lone, thread = say(client, "lone secret"), say(client, "thread secret")
    reply = say(client, "I read that", thread["id"], READER)
    for comment in (lone, thread):
        path = f"/api/discussions/{comment['id']}"
        removed = act(client, AUTHOR, f"DELETE {path}", "delete-comment", comment["id"])
        assert removed.status_code == 200, removed.text
    (tombstone,) = listed(client)
    assert tombstone == thread | {"content": "", "is_deleted": True, "replies": 1}
    assert replies(client, thread["id"]) == [reply]
    everywhere = [LIST, f"/api/users/{AUTHOR.pubkey()}/discussions"]
    everywhere += [f"/api/discussions/{one['id']}/replies" for one in (lone, thread)]
    for path in everywhere:
        assert "secret" not in client.get(path).text
    body = {"content": "too late", "parent_id": thread["id"]}
    answer = act(client, READER, f"POST {LIST}", "comment", MARKET.hex(), body)
    assert answer.status_code == 404
    stats = client.get(f"/api/users/{AUTHOR.pubkey()}").json()["stats"]
    assert stats["discussions"] == 0


def test_author_edits_for_a_while(client: Client, owner: Engine) -> None:
    comment = say(client, "I see a typpo")
    request = f"PATCH /api/discussions/{comment['id']}"
    body = {"content": " I see a typo "}
    foreign = act(client, READER, request, "edit-comment", comment["id"], body)
    assert foreign.status_code == 403
    edited = act(client, AUTHOR, request, "edit-comment", comment["id"], body)
    assert edited.status_code == 200, edited.text
    found = edited.json()["discussion"]
    assert found["edited_at"] is not None
    assert found | {"edited_at": None} == comment | {"content": "I see a typo"}
    assert listed(client) == [found]
    with owner.begin() as conn:
        conn.execute(text("ALTER TABLE community.discussions DISABLE TRIGGER guard"))
        conn.execute(
            text("UPDATE community.discussions SET created_at = now() - interval '6 minutes'")
        )
        conn.execute(text("ALTER TABLE community.discussions ENABLE TRIGGER guard"))
    late = act(client, AUTHOR, request, "edit-comment", comment["id"], {"content": "late"})
    assert (late.status_code, late.json()["code"]) == (409, "period_ended")


def test_votes_count_once_per_wallet_and_sort_the_list(client: Client) -> None:
    plain, liked, best = (say(client, words) for words in ("plain", "liked", "best"))
    for sender in (wallet(3), wallet(4)):
        assert vote(client, best["id"], sender).status_code == 200
    for _ in range(2):
        assert vote(client, liked["id"]).json()["discussion"]["up_votes"] == 1
    top = [row["content"] for row in listed(client, "?sort=top")]
    assert top == ["best", "liked", "plain"]
    assert [row["content"] for row in listed(client)] == ["best", "liked", "plain"]
    for _ in range(2):
        taken = vote(client, best["id"], wallet(3), "DELETE")
        assert taken.json()["discussion"]["up_votes"] == 1
    assert vote(client, plain["id"], wallet(4)).status_code == 200
    for sort in ("newest", "top"):
        whole = listed(client, f"?sort={sort}")
        assert walk(client, f"{LIST}?sort={sort}", "discussions") == whole
    cursor = client.get(f"{LIST}?sort=top&limit=1").json()["next"]
    assert client.get(f"{LIST}?sort=newest&cursor={cursor}").status_code == 400


def test_votes_at_once_of_one_wallet_count_one(client: Client) -> None:
    comment = say(client, "popular")["id"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: vote(client, comment), range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert listed(client)[0]["up_votes"] == 1


def test_older_paths_vote_and_report(client: Client, operator: dict[str, str]) -> None:
    comment = say(client, "old school")["id"]
    path = f"{LIST}/{comment}"
    up = act(client, READER, f"POST {path}/vote", "vote-comment", comment)
    assert up.json()["discussion"]["up_votes"] == 1
    down = act(client, READER, f"POST {path}/vote", "unvote-comment", comment, {"vote": "down"})
    assert down.json()["discussion"]["up_votes"] == 0
    flag = act(client, READER, f"POST {path}/flag", "report-comment", comment, {"reason": "rude"})
    assert flag.status_code == 200, flag.text
    reported = client.get("/api/discussions/reports", headers=operator).json()["reports"]
    assert [(row["reason"], row["note"]) for row in reported] == [("other", "rude")]
    elsewhere = f"/api/markets/{OTHER.hex()}/discussions/{comment}"
    for name, action in (("vote", "vote-comment"), ("flag", "report-comment")):
        answer = act(client, READER, f"POST {elsewhere}/{name}", action, comment)
        assert (answer.status_code, answer.json()["code"]) == (404, "comment_not_found")
    assert listed(client)[0]["up_votes"] == 0


def test_operators_hide_what_was_reported_and_show_it_again(
    client: Client, owner: Engine, operator: dict[str, str]
) -> None:
    comment = say(client, "Send me your seed phrase")
    path = f"/api/discussions/{comment['id']}"
    report = {"reason": "scam", "note": "He wants keys."}
    for repeated in (False, True):
        answer = act(client, READER, f"POST {path}/report", "report-comment", comment["id"], report)
        assert (answer.status_code, answer.json()["repeated"]) == (200, repeated)
    why = {"reason": "phishing"}
    for refused in ("/hide", "/unhide"):
        assert client.post(path + refused, json=why).status_code == 401
    assert client.get("/api/discussions/reports").status_code == 401
    assert client.post(f"{path}/hide", json={"reason": " "}, headers=operator).status_code == 400
    for _ in range(2):
        hidden = client.post(f"{path}/hide", json=why, headers=operator)
        assert hidden.json()["discussion"] == comment | {"content": "", "is_hidden": True}
    assert listed(client) == []
    assert vote(client, comment["id"]).status_code == 404
    (row,) = client.get("/api/discussions/reports", headers=operator).json()["reports"]
    assert (row["content"], row["is_hidden"]) == ("Send me your seed phrase", True)
    assert (row["reason"], row["note"]) == ("scam", "He wants keys.")
    shown = client.post(f"{path}/unhide", json={"reason": "quoted only"}, headers=operator)
    assert shown.json()["discussion"] == comment
    assert listed(client) == [comment]
    with owner.connect() as conn:
        audited = conn.execute(text("SELECT action, subject, reason FROM ops.audit ORDER BY id"))
        assert [tuple(one) for one in audited] == [
            ("hide_comment", comment["id"], "phishing"),
            ("unhide_comment", comment["id"], "quoted only"),
        ]


def test_frames_tell_every_change_and_no_withdrawn_text(
    client: Client, operator: dict[str, str]
) -> None:
    comment = say(client, "a secret")
    path = f"/api/discussions/{comment['id']}"
    act(client, AUTHOR, f"PATCH {path}", "edit-comment", comment["id"], {"content": "my secret"})
    vote(client, comment["id"])
    reply = say(client, "ssh", comment["id"], READER)
    for name in ("hide", "unhide"):
        client.post(f"{path}/{name}", json={"reason": "test"}, headers=operator)
    act(client, AUTHOR, f"DELETE {path}", "delete-comment", comment["id"])
    with client.websocket_connect("/ws") as socket:
        socket.receive_json()
        socket.send_json({"action": "subscribe", "market_id": MARKET.hex(), "since": 0})
        socket.receive_json(timeout=30)
        frames = [socket.receive_json(timeout=30)["data"] for _ in range(7)]
    assert [(frame["action"], frame["text"]) for frame in frames] == [
        ("created", "a secret"),
        ("edited", "my secret"),
        ("voted", "my secret"),
        ("created", "ssh"),
        ("hidden", ""),
        ("unhidden", "my secret"),
        ("deleted", ""),
    ]
    assert (frames[3]["postId"], frames[3]["parentId"]) == (reply["id"], comment["id"])
    assert (frames[2]["up_votes"], frames[6]["replies"]) == (1, 1)
    assert frames[6]["discussion"] == listed(client)[0]


def test_profile_is_changed_by_its_user_and_shown_with_comments(client: Client) -> None:
    comment = say(client, "hello")
    me = f"/api/users/{AUTHOR.pubkey()}"
    empty = client.get(me).json()["profile"]
    assert (empty["name"], empty["bio"], empty["avatar_cid"]) == (None, None, None)
    assert empty["joined_at"] is not None
    cid = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"
    body = {"name": " Ann ", "bio": "I bet.\nOften.", "avatar_cid": cid}
    changed = act(client, AUTHOR, "PATCH /api/users/me", "profile", "profile", body)
    assert changed.status_code == 200, changed.text
    expected = empty | {"name": "Ann", "bio": "I bet.\nOften.", "avatar_cid": cid}
    assert changed.json() == client.get(me).json()["profile"] == expected
    assert listed(client) == [comment | {"user_name": "Ann", "user_avatar": cid}]
    fewer = act(client, AUTHOR, "PATCH /api/users/me", "profile", "profile", {"bio": None})
    assert fewer.json() == expected | {"bio": None}
    # A wallet that has written nothing, and one that has no rows at all.
    newcomer = act(client, READER, "PATCH /api/users/me", "profile", "profile", {"name": "Bob"})
    assert newcomer.json()["name"] == "Bob"
    assert client.get(f"/api/users/{wallet(9).pubkey()}").json()["profile"]["joined_at"] is None
    for wrong in ({"name": " "}, {"name": "x" * 51}, {"name": "a\u202eb"}, {"avatar_cid": "Qm"}):
        answer = act(client, AUTHOR, "PATCH /api/users/me", "profile", "profile", wrong)
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, *wrong)


def test_session_writes_once_per_idempotency_key(client: Client) -> None:
    session = bearer(sign_in(client, AUTHOR))
    keyed = session | {"Idempotency-Key": "once"}
    body = {"market_id": MARKET.hex(), "content": "in a session"}
    first, again = (client.post("/api/discussions", json=body, headers=keyed) for _ in range(2))
    assert (first.status_code, again.json()) == (201, first.json())
    comment = first.json()["discussion"]
    assert comment["user_wallet"] == str(AUTHOR.pubkey())
    path = f"/api/discussions/{comment['id']}"
    edited = client.patch(path, json={"content": "edited in it"}, headers=session)
    assert edited.json()["discussion"]["content"] == "edited in it"
    for _ in range(2):
        voted = client.put(f"{path}/vote", headers=session)
        assert voted.json()["discussion"]["up_votes"] == 1
    foreign = bearer(sign_in(client, READER))
    for method, sent in (("PATCH", {"content": "mine now"}), ("DELETE", None)):
        assert client.request(method, path, json=sent, headers=foreign).status_code == 403
    assert client.patch("/api/users/me", json={"name": "Ann"}, headers=session).is_success
    assert client.get("/api/users/me", headers=session).json()["profile"]["name"] == "Ann"
    assert client.delete(path, headers=session).is_success
    assert listed(client) == []


def test_text_of_one_act_permits_no_other(client: Client) -> None:
    comment, other = say(client, "one")["id"], say(client, "two")["id"]
    composed = client.post(
        "/api/messages", json={"action": "vote-comment", "subject": comment, "body": {}}
    ).json()["message"]
    signed = proof(READER, composed)
    for request in (
        f"PUT /api/discussions/{other}/vote",
        f"DELETE /api/discussions/{comment}/vote",
        f"POST /api/discussions/{comment}/report",
    ):
        method, path = request.split()
        answer = client.request(method, path, json=signed)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid"), request
    assert client.request("PUT", f"/api/discussions/{comment}/vote", json=signed).is_success
