"""Silences by HTTP: they begin and end for a reason, which the audit log keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from tests.api import seed
from tests.api.signing_in import session_of
from zmart_pipelines.settings import Settings

Client = TestClient[Litestar]
OPERATOR = seed.wallet(1)
SILENCE = {"topic": "run", "seconds": 3_600, "reason": "an upgrade"}


@pytest.fixture
def client(api_settings: Settings) -> Iterator[Client]:
    """A client that has signed in as an operator."""
    settings = Settings.model_validate(
        api_settings.model_dump() | {"operators": str(OPERATOR.pubkey())}
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        made.headers.update(session_of(made, OPERATOR))
        yield made


def end(client: Client, number: int, body: dict[str, Any] | None) -> Any:
    return client.request("DELETE", f"/api/alerts/silences/{number}", json=body)


def test_silence_begins_and_ends_for_a_reason_in_the_audit_log(client: Client) -> None:
    made = client.post("/api/alerts/silences", json=SILENCE).json()
    assert client.get("/api/alerts/silences").json() == {"silences": [made], "count": 1}
    ended = end(client, made["id"], {"reason": " the upgrade is done "})
    assert ended.status_code == 200, ended.text
    assert ended.json()["ends_at"] < made["ends_at"]
    assert client.get("/api/alerts/silences").json()["count"] == 0
    found = [
        (entry["action"], entry["subject"], entry["reason"], entry["wallet"])
        for entry in client.get("/api/audit").json()["entries"]
    ]
    number, wallet = str(made["id"]), str(OPERATOR.pubkey())
    assert found == [
        ("end_silence", number, "the upgrade is done", wallet),
        ("silence_alerts", number, "an upgrade", wallet),
    ]
    again = end(client, made["id"], {"reason": "once more"})
    assert again.status_code == 404, again.text


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "  "}])
def test_silence_does_not_end_without_a_reason(client: Client, body: dict[str, Any] | None) -> None:
    made = client.post("/api/alerts/silences", json=SILENCE).json()
    refused = end(client, made["id"], body)
    assert refused.status_code == 400, refused.text
    assert client.get("/api/alerts/silences").json()["silences"] == [made]
    assert [entry["action"] for entry in client.get("/api/audit").json()["entries"]] == [
        "silence_alerts"
    ]
