"""Snapshots of discussions as clients read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from tests.api import seed
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.snapshots.taking import end_of, take_snapshots
from zmart_pipelines.store.engine import Role

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
