"""Kill switches and pinned files, which are public."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from api.app import create_app
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions import switches

Client = TestClient[Litestar]


def shown(client: Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/api/submissions/switches").raise_for_status().json()
    return answer


def test_kill_switches_are_listed_with_their_reasons(client: Client, database: str) -> None:
    before = shown(client)
    assert (before["status"], before["submissions_enabled"]) == ("ok", True)
    assert {(row["enabled"], row["sends"]) for row in before["switches"]} == {(True, True)}
    assert before["switches"][0]["action"] == "all"
    pipelines: Engine = role_engine(Role.PIPELINES, database)
    with pipelines.begin() as conn:
        switches.set_switch(conn, "finalize_market", enabled=False, reason="wrong counts")
    after = shown(client)
    off = {row["action"]: row for row in after["switches"] if not row["sends"]}
    assert off.keys() == {"finalize_market"}
    assert after["status"] == "partly_stopped", "the other actions are sent"
    assert off["finalize_market"]["reason"] == "wrong counts"
    assert off["finalize_market"]["changed_at"].endswith("Z")
    with pipelines.begin() as conn:
        switches.set_switch(conn, "all", enabled=False, reason="row_counts")
    stopped = shown(client)
    assert not [row for row in stopped["switches"] if row["sends"]]
    assert stopped["status"] == "stopped"
    pipelines.dispose()


def test_submissions_setting_is_returned(api_settings: Settings) -> None:
    stopped = api_settings.model_copy(update={"submissions_enabled": False})
    with TestClient(create_app(stopped)) as client:
        body = shown(client)
    assert (body["status"], body["submissions_enabled"]) == ("stopped", False)
    assert {(row["enabled"], row["sends"]) for row in body["switches"]} == {(True, False)}


def test_pinned_files_are_served_by_cid(client: Client, api_settings: Settings) -> None:
    folder = api_settings.zmart_state / "ipfs"
    cid = LocalPinStore(folder).pin(b'{"a":1}')
    answer = client.get(f"/ipfs/{cid}")
    assert (answer.status_code, answer.content) == (200, b'{"a":1}')
    assert answer.headers["content-type"].startswith("application/json")
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(f"/ipfs/{cid_v0(b'other')}").status_code == 404
    for wrong in ("Qm", "..%2F..%2Fsecrets", cid[:-1] + "0", cid + "a"):
        assert client.get(f"/ipfs/{wrong}").status_code in (400, 404)
    (folder / cid).write_bytes(b'{"a":2}')
    assert client.get(f"/ipfs/{cid}").status_code == 503
