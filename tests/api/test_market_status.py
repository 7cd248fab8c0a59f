"""What a market waits for: counts and deadlines, who must act, and what is in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, text

from tests.api import seed
from tests.fixtures.postgres import name_database
from zmart_pipelines.cli import main
from zmart_pipelines.monitoring.alerts import AlertKey, raise_alert
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions import switches

Client = TestClient[Litestar]
KEY = bytes([5]) * 32
# Ten minutes before the year 2100, so that the window is open whenever the test runs.
PROPOSED_AT = 4_102_444_200
TALLY = """
INSERT INTO voting.tallies (market_id, kind, votes_for, votes_against, ballots)
VALUES (:market, 'proposal', 6, 2, 8)
"""
FAILED = """
INSERT INTO ops.intents (market_id, action, arguments, status, reason, failures)
VALUES (:market, 'finalize_market', '{}', 'failed', 'InvalidMarketState', 3)
"""


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def add(database: str, **values: Any) -> None:
    """Store the market, as the ledger and its draft would."""
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        seed.market(conn, KEY, **values)
        seed.question(conn, KEY, "Will it rain tomorrow?", ends_at=PROPOSED_AT)
    owner.dispose()


def status(client: Client, market: str = KEY.hex()) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/api/markets/{market}/status").raise_for_status().json()
    return answer


def test_proposal_shows_its_counts_against_the_threshold(
    client: Client, database: str, pipelines: Engine
) -> None:
    add(database, state=int(MarketState.PROPOSED))
    with pipelines.begin() as conn:
        conn.execute(text(TALLY), {"market": KEY})
    found = status(client)
    assert (found["state"], found["actor"], found["next_action"]) == ("PROPOSED", "voters", None)
    assert found["waits_for"] == "votes: 8 of 10 ballots"
    assert found["vote"] == {
        "exact": {"votes_for": "6", "votes_against": "2"},
        "kind": "proposal",
        "round": 0,
        "votes_for": 6,
        "votes_against": 2,
        "share_bps": 7500,
        "threshold_bps": 7000,
        "ballots": 8,
        "minimum_ballots": 10,
        "is_frozen": False,
    }
    assert found["blockers"] == []
    assert found["last_transaction"] is None
    assert status(client, seed.address_of(KEY)) | {"chain_time": ""} == found | {"chain_time": ""}


def test_window_has_a_deadline_and_what_is_in_the_way_is_listed(
    client: Client, database: str, pipelines: Engine
) -> None:
    add(
        database,
        state=int(MarketState.RESOLVING),
        created_at=PROPOSED_AT - 1000,
        resolution_proposed_at=PROPOSED_AT,
    )
    with pipelines.begin() as conn:
        switches.set_switch(conn, "finalize_market", enabled=False, reason="wrong counts")
        switches.set_switch(conn, "approve_proposal", enabled=False, reason="another action")
        conn.execute(text(FAILED), {"market": KEY})
        raise_alert(conn, AlertKey("unexpected_resolution", market_id=KEY), "high", "secret text")
    found = status(client)
    assert found["next_action"] == "finalize_market"
    assert found["waits_for"] == "the end of its dispute window"
    assert found["deadline"] == "2100-01-03T23:50:02.000Z"
    assert found["seconds_left"] == 1000 + 259_200 + 2
    assert [(one["kind"], one["name"]) for one in found["blockers"]] == [
        ("switch", "finalize_market"),
        ("submission", "finalize_market"),
        ("alert", "unexpected_resolution"),
    ]
    assert found["blockers"][1]["detail"]["reason"] == "InvalidMarketState"
    assert "secret text" not in json.dumps(found), "texts of alerts are for operators"


def test_recorded_counts_wait_for_whoever_has_the_key(
    client: Client, database: str, pipelines: Engine
) -> None:
    add(database, state=int(MarketState.PROPOSED), proposal_likes=6, proposal_dislikes=2)
    with pipelines.begin() as conn:
        conn.execute(text(TALLY), {"market": KEY})
        conn.execute(
            text(
                "UPDATE voting.tallies SET status = 'frozen', frozen_slot = 5, frozen_at = now(),"
                " frozen_chain_time = 6, counted_at = now()"
            )
        )
    assert status(client)["next_action"] == "approve_proposal"
    with pipelines.begin() as conn:
        raise_alert(conn, AlertKey("approval_needs_admin", market_id=KEY), "medium", "sign it")
    found = status(client)
    assert (found["actor"], found["next_action"]) == ("operators", None)
    assert found["waits_for"] == "the admin to sign its approval"


def test_command_shows_the_same(
    client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database)
    name_database(monkeypatch, database)
    shown = CliRunner().invoke(main, ["market", KEY.hex()])
    assert shown.exit_code == 0, shown.output
    assert "waits for   its end time, while it is traded" in shown.output
    assert "deadline    2099-12-31T23:50:00.000Z" in shown.output
    printed = json.loads(
        CliRunner().invoke(main, ["market", seed.address_of(KEY), "--json"]).output
    )
    for answer in (printed, expected := status(client)):
        del answer["chain_time"], answer["seconds_left"]
    assert printed == expected
    assert CliRunner().invoke(main, ["market", "11" * 32]).exit_code == 1
    assert CliRunner().invoke(main, ["market", "nothing"]).exit_code == 2


def test_unknown_market_is_a_404(client: Client) -> None:
    assert client.get(f"/api/markets/{KEY.hex()}/status").status_code == 404
    assert client.get("/api/markets/nothing/status").status_code == 404
