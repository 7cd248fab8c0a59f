"""Health of the pin store and of the live updates: what they did, not whether they run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from pydantic import SecretStr

from api.app import create_app
from api.realtime import hub_health
from api.realtime.hub import Hub
from tests.api.test_discussion_snapshots import snapshot_three_days
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.monitoring.alerts import AlertKey, raise_alert
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.snapshots.taking import pin_documents
from zmart_pipelines.store.engine import Role

Client = TestClient[Litestar]


def eventually(read: Callable[[], dict[str, Any]], **expected: object) -> dict[str, Any]:
    """Read until these members are as expected."""
    deadline = time.monotonic() + 30
    while True:
        found = read()
        if expected.items() <= found.items():
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def websocket(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/health/websocket").json()
    return found


def test_pin_store_is_healthy_by_a_round_trip(api_settings: Settings, database: str) -> None:
    snapshot_three_days(database)
    folder = api_settings.zmart_state / "ipfs"
    with TestClient(create_app(api_settings)) as client:
        waiting = client.get("/health/ipfs").raise_for_status().json()
        assert (waiting["status"], waiting["waiting"], waiting["last_pin_at"]) == ("ok", 3, None)
        assert waiting["round_trip_seconds"] > 0
        assert list(folder.iterdir()) == [], "the probe is removed"
    pipelines = role_engine(Role.PIPELINES, database)
    pinned = list(pin_documents(pipelines, LocalPinStore(folder)))
    pipelines.dispose()
    with TestClient(create_app(api_settings)) as client:
        after = client.get("/health/ipfs").raise_for_status().json()
        assert (after["status"], after["waiting"]) == ("ok", 0)
        assert after["last_pin_at"] is not None
    (folder / pinned[-1].cid).unlink()
    with TestClient(create_app(api_settings)) as client:
        lost = client.get("/health/ipfs").raise_for_status().json()
        assert (lost["status"], lost["read_back_error"]) == (
            "degraded",
            "the newest pinned file cannot be read back",
        )


def test_pin_store_that_cannot_be_written_is_down(api_settings: Settings, tmp_path: Path) -> None:
    api_settings.zmart_state.mkdir()
    (api_settings.zmart_state / "ipfs").write_bytes(b"in the way")
    with TestClient(create_app(api_settings)) as client:
        answer = client.get("/health/ipfs")
        assert (answer.status_code, answer.json()["status"]) == (503, "down")
        assert str(tmp_path) not in answer.text


def test_live_updates_are_healthy_by_what_they_delivered(client: Client, database: str) -> None:
    eventually(lambda: websocket(client), status="ok")
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        raise_alert(conn, AlertKey("run", subject="test"), "medium", "a frame")
    owner.dispose()

    def delivered() -> dict[str, Any]:
        read = websocket(client)
        return {**read, "is_delivered": read["position"] == read["head"] > 0}

    found = eventually(delivered, status="ok", is_delivered=True)
    assert found["signal_seconds"] > 0
    before = found["sockets"]
    with client.websocket_connect("/ws"):
        eventually(lambda: websocket(client), sockets=before + 1)


def test_hub_that_does_not_deliver_is_down(
    api_settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_health, "DELAY", Threshold(1, 2))

    async def deliver_nothing(self: Hub) -> bool:
        self._woken.clear()
        await self._find_start()
        return False

    monkeypatch.setattr(Hub, "_deliver_page", deliver_nothing)
    owner = role_engine(Role.OWNER, database)
    with TestClient(create_app(api_settings)) as client:
        eventually(lambda: websocket(client), position=0)
        with owner.begin() as conn:
            raise_alert(conn, AlertKey("run", subject="test"), "medium", "a frame")
        eventually(lambda: websocket(client), status="down", read_at=None)
        assert client.get("/health/websocket").status_code == 503
    owner.dispose()


def test_live_updates_without_redis_are_degraded(api_settings: Settings) -> None:
    away = api_settings.model_copy(update={"redis_url": _url(unused_port())})
    with TestClient(create_app(away)) as client:

        def read() -> dict[str, Any]:
            found = websocket(client)
            return {**found, "is_polled": found["read_at"] is not None}

        eventually(read, status="degraded", signal_seconds=None, is_polled=True)
        assert client.get("/health/websocket").status_code == 200


def _url(port: int) -> SecretStr:
    return SecretStr(f"redis://127.0.0.1:{port}/0")
