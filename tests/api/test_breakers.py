"""Breakers by HTTP: the pipelines' from the database, the process's own from memory."""

from __future__ import annotations

from litestar.testing import TestClient
from solders.keypair import Keypair

from api.app import create_app
from tests.api.chain_world import MARKET
from tests.api.wallets import signed
from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role


def test_breakers_of_pipelines_and_process_are_listed(api_settings: Settings) -> None:
    endpoint = api_settings.solana_rpc_url.get_secret_value().removeprefix("http://")
    with TestClient(create_app(api_settings), raise_server_exceptions=False) as client:
        sound = client.get("/health/breakers").json()
        assert (sound["status"], sound["breakers"]) == ("ok", [])
        pool = role_engine(Role.PIPELINES, api_settings.database_url.get_secret_value())
        with pool.begin() as conn:
            breaker_rows.failed(conn, "action:finalize_market", "secret?", Policy(failures=1))
            breaker_rows.failed(conn, "action:approve_proposal", "secret?", Policy(failures=2))
        pool.dispose()
        for _ in range(3):
            answer = client.post(
                "/api/markets", json=signed(client, Keypair(), "/api/markets", MARKET)
            )
            assert answer.status_code == 503, answer.text
        answer = client.get("/health/breakers")
        assert answer.status_code == 200
        body = answer.json()
        assert client.get("/health").status_code == 200
    assert body["status"] == "degraded"
    seen = [(one["scope"], one["name"], one["state"], one["failures"]) for one in body["breakers"]]
    assert seen == [
        ("pipelines", "action:finalize_market", "open", 1),
        ("pipelines", "action:approve_proposal", "closed", 1),
        ("api", f"rpc:{endpoint}", "open", api_settings.breaker_endpoint_failures),
    ]
    assert body["breakers"][0]["opened_at"] < body["breakers"][0]["wait_until"]
    assert body["breakers"][1]["opened_at"] is None
    assert "secret?" not in answer.text
