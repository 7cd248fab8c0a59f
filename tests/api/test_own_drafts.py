"""A wallet's own drafts and documents: seen, replaced, deleted and unpinned."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from tests.api.chain_world import MARKET, World
from tests.api.seed import wallet
from tests.api.signing_in import bearer, sign_in
from tests.api.test_list_pages import walk
from zmart_pipelines.ipfs.canonical_json import parse_canonical
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.ipfs.media_types import media_type
from zmart_pipelines.ipfs.pin_store import PinError, PinNotFound
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.retention import prune_files

Client = TestClient[Litestar]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def session(client: Client, owner: Keypair) -> dict[str, str]:
    return bearer(sign_in(client, owner))


def create(world: World, headers: dict[str, str], **over: Any) -> dict[str, Any]:
    answer = world.client.post("/api/markets", json=MARKET | over, headers=headers)
    assert answer.status_code == 201, answer.text
    draft: dict[str, Any] = answer.json()["draft"]
    return draft


def upload(client: Client, data: bytes, headers: dict[str, str]) -> Any:
    encoded = base64.b64encode(data).decode()
    return client.post("/api/documents", json={"data": encoded}, headers=headers)


def holds(settings: Settings, cid: str) -> bool:
    try:
        configured_pin_store(settings).get(cid)
    except PinNotFound:
        return False
    return True


def prune(database: str, settings: Settings, days: int) -> dict[str, int]:
    pipelines = role_engine(Role.PIPELINES, database)
    now = datetime.now(UTC) + timedelta(days=days)
    freed = prune_files(pipelines, settings, now, configured_pin_store(settings).unpin)
    pipelines.dispose()
    return {one.table: one.rows for one in freed}


def test_owner_sees_replaces_and_deletes_a_draft_and_others_do_not(world: World) -> None:
    mine, foreign = session(world.client, world.wallet), session(world.client, wallet(2))
    first = create(world, mine)
    path = f"/api/drafts/{first['draft_id']}"
    assert world.client.get(path, headers=mine).json() == first
    assert world.client.get("/api/drafts", headers=mine).json()["drafts"] == [first]
    assert world.client.get("/api/drafts", headers=foreign).json()["drafts"] == []
    changed = MARKET | {"question": "Will it snow in Ghent tomorrow?"}
    for method, body in (("GET", None), ("PUT", changed), ("DELETE", None)):
        answer = world.client.request(method, path, json=body, headers=foreign)
        assert (answer.status_code, answer.json()["code"]) == (404, "draft_not_found"), method
    replaced = world.client.put(path, json=changed, headers=mine)
    assert replaced.status_code == 200, replaced.text
    second = replaced.json()["draft"]
    assert second["draft_id"] == first["draft_id"]
    assert (second["id"] != first["id"], second["question"]) == (True, changed["question"])
    assert world.client.get(path, headers=mine).json() == second
    assert world.client.get("/api/drafts", headers=mine).json()["drafts"] == [second]
    create(world, mine)
    whole = world.client.get("/api/drafts", headers=mine).json()["drafts"]
    assert len(whole) == 2
    assert walk(world.client, "/api/drafts", "drafts", limit=1, headers=mine) == whole
    assert world.client.delete(path, headers=mine).status_code == 200
    for method in ("GET", "DELETE"):
        assert world.client.request(method, path, headers=mine).status_code == 404


def test_replacement_under_a_key_happens_once(world: World, ledger: Engine) -> None:
    mine = session(world.client, world.wallet)
    path = f"/api/drafts/{create(world, mine)['draft_id']}"
    body = MARKET | {"question": "Will it snow in Ghent tomorrow?"}
    keyed = mine | {"Idempotency-Key": "replace"}
    first, again = (world.client.put(path, json=body, headers=keyed) for _ in range(2))
    assert (first.status_code, again.json()["repeated"]) == (200, True)
    assert again.json()["draft"] == first.json()["draft"]
    with ledger.connect() as conn:
        stored = conn.execute(text("SELECT count(*) FROM community.market_drafts")).scalar_one()
    assert stored == 2


def test_market_of_an_earlier_version_still_has_its_question(world: World) -> None:
    mine = session(world.client, world.wallet)
    created = world.client.post("/api/markets", json=MARKET, headers=mine).json()
    path = f"/api/drafts/{created['draft']['draft_id']}"
    assert world.client.delete(path, headers=mine).status_code == 200
    world.deliver(world.sign_and_send(created["transaction"]))
    market = world.client.get(f"/api/markets/{created['market_id']}").json()
    assert market["question"] == MARKET["question"]


def test_draft_whose_market_exists_is_neither_replaced_nor_deleted(world: World) -> None:
    mine = session(world.client, world.wallet)
    created = world.client.post("/api/markets", json=MARKET, headers=mine).json()
    path = f"/api/drafts/{created['draft']['draft_id']}"
    world.deliver(world.sign_and_send(created["transaction"]))
    assert world.client.get(path, headers=mine).json()["state"] == "CREATED"
    for method, body in (("PUT", MARKET), ("DELETE", None)):
        answer = world.client.request(method, path, json=body, headers=mine)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict"), method


def test_evidence_is_pinned_named_by_the_question_and_served_as_it_is(world: World) -> None:
    mine, foreign = session(world.client, world.wallet), session(world.client, wallet(2))
    stored = upload(world.client, PNG, mine)
    assert stored.status_code == 201, stored.text
    assert stored.json() == {"cid": cid_v0(PNG), "media_type": "image/png", "size": len(PNG)}
    served = world.client.get(stored.headers["location"])
    assert (served.content, served.headers["content-type"]) == (PNG, "image/png")
    assert served.headers["x-content-type-options"] == "nosniff"
    cid = stored.json()["cid"]
    draft = create(world, mine, evidence=[cid, cid])
    assert draft["evidence"] == [cid]
    question = configured_pin_store(world.settings).get(draft["ipfs_question_hash"])
    assert parse_canonical(question)["evidence"] == [cid]
    refused = world.client.post("/api/markets", json=MARKET | {"evidence": [cid]}, headers=foreign)
    assert (refused.status_code, refused.json()["details"][0]["field"]) == (400, "evidence")
    # The same file of another wallet; a file of the service's own.
    assert upload(world.client, PNG, foreign).status_code == 201
    assert upload(world.client, question, mine).status_code == 409


def test_unused_files_are_unpinned_and_used_ones_stay(
    world: World, database: str, api_settings: Settings
) -> None:
    mine = session(world.client, world.wallet)
    kept, unused = (upload(world.client, data, mine).json()["cid"] for data in (PNG, b"hello"))
    draft = create(world, mine, evidence=[kept])
    created = world.client.post(
        "/api/markets",
        json=MARKET | {"question": "Will this one be made?"},
        headers=mine,
    ).json()
    world.deliver(world.sign_and_send(created["transaction"]))
    question, on_chain = draft["ipfs_question_hash"], created["draft"]["ipfs_question_hash"]
    assert prune(database, world.settings, 1) == dict.fromkeys(
        ("community.market_drafts", "community.documents", "community.ipfs_anchors"), 0
    )
    # Days later the draft has expired; its evidence goes with it.
    freed = prune(database, world.settings, 9)
    assert freed == {
        "community.market_drafts": 1,
        "community.documents": 2,
        "community.ipfs_anchors": 0,
    }
    held = {cid for cid in (kept, unused, question, on_chain) if holds(world.settings, cid)}
    assert held == {on_chain}


def test_file_that_cannot_be_unpinned_keeps_its_row(
    client: Client, database: str, api_settings: Settings
) -> None:
    cid = upload(client, b"hello", session(client, wallet(1))).json()["cid"]
    pipelines = role_engine(Role.PIPELINES, database)

    def broken(_: str) -> None:
        raise PinError("no space left")

    now = datetime.now(UTC) + timedelta(days=9)
    with pytest.raises(PinError):
        prune_files(pipelines, api_settings, now, broken)
    pipelines.dispose()
    assert holds(api_settings, cid)
    assert prune(database, api_settings, 9)["community.documents"] == 1
    assert not holds(api_settings, cid)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("????", "base64"),
        (base64.b64encode(b"<svg").decode() + "=", "base64"),
        (base64.b64encode(bytes(9)).decode(), "must be JSON"),
        (base64.b64encode(b"MZ\xff\xfe").decode(), "must be JSON"),
        (base64.b64encode(b"x" * (MAX_BLOCK + 1)).decode(), "bytes"),
    ],
)
def test_other_files_are_refused(client: Client, data: str, reason: str) -> None:
    answer = client.post("/api/documents", json={"data": data})
    assert answer.status_code == 400, answer.text
    assert (answer.json()["details"][0]["field"], reason in answer.text) == ("data", True)


def test_largest_document_is_accepted(client: Client) -> None:
    answer = upload(client, b"x" * MAX_BLOCK, session(client, wallet(1)))
    assert (answer.status_code, answer.json()["size"]) == (201, MAX_BLOCK)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"a": 1}', "application/json"),
        (b"{a}", "text/plain"),
        (b"%PDF-1.7 ", "application/pdf"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (PNG, "image/png"),
        (b"", None),
        (b"a\x00b", None),
        (b"\xff\xfe", None),
    ],
)
def test_kind_of_a_file_is_that_of_its_bytes(data: bytes, kind: str | None) -> None:
    assert media_type(data) == kind
