"""Snapshots of discussions as clients read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from api.app import create_app
from tests.api import seed
from tests.ipfs.gateway_server import running_gateway
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.snapshots.taking import end_of, take_snapshots
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.discussion_snapshots import stored_documents

Client = TestClient[Litestar]
KEY, WALLET = bytes([5]) * 32, bytes([6]) * 32
TODAY = datetime.now(UTC).date()
COMMENT = """
INSERT INTO community.discussions (market_id, wallet, content, created_at)
VALUES (:market, :wallet, :content, :at)
"""


def snapshot_three_days(database: str) -> None:
    owner = role_engine(Role.OWNER, database)
    pipelines = role_engine(Role.PIPELINES, database)
    with owner.begin() as conn:
        seed.market(conn, KEY)
        conn.execute(text("INSERT INTO community.users (wallet) VALUES (:w)"), {"w": WALLET})
    for days in (3, 2, 1):
        day = TODAY - timedelta(days=days)
        with owner.begin() as conn:
            at = end_of(day) - timedelta(hours=1)
            values = {"market": KEY, "wallet": WALLET, "content": f"day {days}", "at": at}
            conn.execute(text(COMMENT), values)
        assert len(list(take_snapshots(pipelines, day, datetime.now(UTC)))) == 1
    owner.dispose()
    pipelines.dispose()


def test_snapshots_are_listed_and_read_by_cid(client: Client, database: str) -> None:
    snapshot_three_days(database)
    first = client.get(f"/api/markets/{KEY.hex()}/snapshots?limit=2").raise_for_status().json()
    rest = client.get(
        f"/api/markets/{KEY.hex()}/snapshots", params={"limit": 2, "cursor": first["next"]}
    ).json()
    listed = [*first["snapshots"], *rest["snapshots"]]
    assert rest["next"] is None
    assert [one["day"] for one in listed] == [
        (TODAY - timedelta(days=days)).isoformat() for days in (1, 2, 3)
    ]
    for newer, older in zip(listed, [*listed[1:], None], strict=True):
        got = client.get(newer["url"])
        assert got.headers["content-type"].startswith("application/json")
        assert "immutable" in got.headers["cache-control"]
        assert cid_v0(got.content) == newer["cid"]
        assert json.loads(got.content)["previous"] == (older and older["cid"])


def test_unknown_snapshot_is_a_404(client: Client) -> None:
    assert client.get(f"/api/discussions/ipfs/{cid_v0(b'other')}").status_code == 404
    assert client.get("/api/discussions/ipfs/Qm").status_code == 404
    assert client.get(f"/api/markets/{KEY.hex()}/snapshots").status_code == 404


def pruned_document(database: str) -> bytes:
    """Take a snapshot and delete its row, as retention does; the bytes of its file."""
    snapshot_three_days(database)
    owner = role_engine(Role.OWNER, database)
    with owner.connect() as conn:
        (first, *_) = stored_documents(conn)
    with owner.begin() as conn:
        conn.execute(text("DELETE FROM community.ipfs_anchors WHERE cid = :c"), {"c": first.cid})
    owner.dispose()
    return first.document


def open_alerts(database: str) -> list[str]:
    read = role_engine(Role.READ, database)
    with read.connect() as conn:
        found = conn.execute(
            text(
                "SELECT subject FROM ops.alerts"
                " WHERE topic = 'ipfs_gateway' AND cleared_at IS NULL ORDER BY subject"
            )
        )
        subjects = list(found.scalars())
    read.dispose()
    return subjects


def test_pruned_file_is_read_from_a_gateway_and_wrong_bytes_raise_an_alert(
    api_settings: Settings, database: str
) -> None:
    data = pruned_document(database)
    cid = cid_v0(data)
    with running_gateway("wrong") as liar, running_gateway() as good:
        liar.files[cid] = good.files[cid] = data
        settings = api_settings.model_copy(
            update={
                "ipfs_gateways": f"{liar.url}, {good.url}",
                "ipfs_gateway_ejection_seconds": 0.001,
            }
        )
        with TestClient(create_app(settings)) as client:
            path = f"/api/discussions/ipfs/{cid}"
            got = client.get(path)
            assert (got.status_code, got.content) == (200, data)
            assert open_alerts(database) == [liar.host]
            liar.mode = "file"
            assert client.get(path).content == data
            assert open_alerts(database) == []
            liar.mode = good.mode = "error"
            assert client.get(path).status_code == 503
            assert client.get(f"/api/discussions/ipfs/{cid_v0(b'x')}").status_code == 503
            liar.mode = good.mode = "file"
            assert client.get(f"/api/discussions/ipfs/{cid_v0(b'x')}").status_code == 404


def test_what_is_no_snapshot_of_a_known_market_is_not_passed_on(
    api_settings: Settings, database: str
) -> None:
    data = pruned_document(database)
    others = [
        b"<script>alert(1)</script>",
        b'{"market":"00"}',
        data.replace(KEY.hex().encode(), b"07" * 32),
        data + b" ",
    ]
    with running_gateway() as gateway:
        gateway.files |= {cid_v0(one): one for one in others}
        settings = api_settings.model_copy(update={"ipfs_gateways": gateway.url})
        with TestClient(create_app(settings)) as client:
            for one in others:
                assert client.get(f"/api/discussions/ipfs/{cid_v0(one)}").status_code == 404
    assert len(gateway.asked) == len(others)
