"""The state of the system: as REST shows it, and told when it changes."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient

from tests.api.private_sockets import asked, greeted, receive
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions.switches import set_switch

Client = TestClient[Litestar]


def test_system_begins_with_what_rest_shows_and_tells_changes(
    client: Client, api_settings: Settings
) -> None:
    pipelines = role_engine(Role.PIPELINES, api_settings.database_url.get_secret_value())
    with greeted(client) as socket:
        answer = asked(socket, action="subscribe", channel="system")
        assert answer["type"] == "subscribed", answer
        begun = answer["data"]["snapshot"]
        assert begun["switches"] == client.get("/api/submissions/switches").json()
        assert begun["breakers"] == client.get("/health/breakers").json()["breakers"]
        assert begun["lag"]["confirmed_slots"] is None, "nothing was read of a chain"
        with pipelines.begin() as conn:
            set_switch(conn, "all", enabled=False, reason="a drill")
        last = answer["seq"]
        while True:
            frame = receive(socket)
            assert (frame["type"], frame["channel"], frame["conflated"]) == (
                "system",
                "system",
                True,
            )
            assert frame["seq"] > last
            assert "prev" not in frame
            last = frame["seq"]
            if frame["data"]["switches"]["status"] == "stopped":
                break
        assert frame["data"]["switches"] == client.get("/api/submissions/switches").json()
    pipelines.dispose()
