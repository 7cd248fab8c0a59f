"""What is owed, which deadlines come, and the figures of the whole system."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, insert, text

from tests.api import seed
from zmart_pipelines.ledger.readers.coverage import advance_cursor
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.backups import BackupRow, record_backup
from zmart_pipelines.store.tables.table_sizes import table_sizes

Client = TestClient[Litestar]
HOUR = 3600
RESOLVING, DISPUTED, ACTIVE, OWING = (bytes([number]) * 32 for number in range(1, 5))
INTENT = """
INSERT INTO ops.intents (market_id, action, arguments, status, reason, due_at)
VALUES (:market, 'finalize_market', '{}', 'planned', 'the switch is off',
    now() - interval '5 minutes')
"""


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def read(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_owed_work_and_deadlines_are_named_by_market(
    client: Client, owner: Engine, pipelines: Engine
) -> None:
    now = int(time.time())
    with owner.begin() as conn:
        seed.configuration(conn, dispute_period=2 * HOUR)
        seed.market(
            conn, RESOLVING, state=int(MarketState.RESOLVING), resolution_proposed_at=now - HOUR
        )
        seed.market(
            conn, DISPUTED, state=int(MarketState.DISPUTED), dispute_initiated_at=now - HOUR // 2
        )
        seed.market(conn, ACTIVE, state=int(MarketState.ACTIVE))
        seed.question(conn, ACTIVE, "Will it rain tomorrow?", ends_at=now - 60)
        seed.market(conn, OWING, state=int(MarketState.FINALIZED))
    with pipelines.begin() as conn:
        conn.execute(text(INTENT), {"market": OWING})
    found = read(client, "/api/owed")
    assert [one["market_id"] for one in found["deadlines"]] == [
        ACTIVE.hex(), RESOLVING.hex(), DISPUTED.hex(),
    ]  # fmt: skip
    past, window, vote = (one["seconds_left"] for one in found["deadlines"])
    assert -90 <= past <= -60
    assert window == pytest.approx(HOUR, abs=120)
    assert vote - window == HOUR // 2
    assert found["deadlines"][0]["question"] == "Will it rain tomorrow?"
    (owed,) = found["owed"]
    assert (owed["market_id"], owed["stage"]) == (OWING.hex(), "planned")
    assert (owed["action"], owed["reason"]) == ("finalize_market", "the switch is off")
    assert found["owed_count"] == 1
    assert len(read(client, "/api/owed?limit=1")["deadlines"]) == 1


def test_owed_transactions_beyond_the_list_are_counted(client: Client, pipelines: Engine) -> None:
    with pipelines.begin() as conn:
        conn.execute(text(INTENT), [{"market": bytes([number]) * 32} for number in range(1, 121)])
    found = read(client, "/api/owed?limit=2")
    assert len(found["owed"]) == 2
    assert found["owed_count"] == 120


def test_system_has_polls_backups_and_tables(
    client: Client, ledger: Engine, pipelines: Engine
) -> None:
    empty = read(client, "/api/system")
    assert empty["intake"]["confirmed_at"] is None
    assert empty["backups"]["last_verified_at"] is None
    at = datetime.now(UTC)
    good = BackupRow("one", "folder", at - timedelta(days=1), at, verified_at=at, bytes=7, rows=2)
    with pipelines.begin() as conn:
        record_backup(conn, good)
        record_backup(conn, BackupRow("two", "folder", at, at, error="disk full"))
    with ledger.begin() as conn:
        advance_cursor(conn, "confirmed", 410)
        conn.execute(text("UPDATE chain.cursors SET reached_at = now()"))
    found = read(client, "/api/system")
    assert found["intake"]["confirmed_at"] is not None
    assert found["intake"]["finalized_at"] is None
    assert found["backups"]["failed"] is True
    assert found["backups"]["last_verified_at"].startswith(good.taken_at.strftime("%Y-%m-%dT%H:%M"))
    assert found["snapshots"] == {"last_pinned_at": None, "waiting": 0, "waiting_since": None}
    sizes = [table["bytes"] for table in found["database"]["tables"]]
    assert sizes == sorted(sizes, reverse=True)
    assert found["database"]["bytes"] > sum(sizes) > 0


def test_growth_has_stored_sizes_and_those_of_now(client: Client, pipelines: Engine) -> None:
    before = read(client, "/api/system/growth")
    assert len(before["times"]) == len(before["database"]) == 1
    hour, span = timedelta(hours=1), timedelta(days=3)
    now = datetime.now(UTC)
    with pipelines.begin() as conn:
        for number in range(int(span / hour)):
            at = now - span + number * hour
            for name, size in (("database", 1000 + number), ("chain.events", 10 + number)):
                values = {"name": name, "measured_at": at, "bytes": size}
                conn.execute(insert(table_sizes).values(values))
    found = read(client, "/api/system/growth?days=2")
    assert len(found["times"]) in (48, 49)
    assert found["times"] == sorted(found["times"])
    *stored, current = found["database"]
    assert stored == list(range(1000 + 72 - len(stored), 1000 + 72))
    assert current > 100_000
    (events,) = [one for one in found["tables"] if one["name"] == "chain.events"]
    assert events["bytes"][:-1] == [size - 990 for size in stored]
    # Tables that were not measured then have no size then.
    (other, *_) = [one for one in found["tables"] if one["name"] != "chain.events"]
    assert other["bytes"][:-1] == [None] * len(stored)
    # A longer period has no more points.
    assert len(read(client, "/api/system/growth?days=90")["times"]) < 12
    assert client.get("/api/system/growth?days=91").status_code == 400


def test_causes_of_alerts_name_their_remedy_and_runbook(client: Client) -> None:
    causes = read(client, "/api/alerts/causes")["causes"]
    (breaker,) = [one for one in causes if one["topic"] == "breaker"]
    assert breaker["severity"] == "critical"
    assert "zmart breakers reset" in breaker["remedy"]
    runbook = read(client, "/api/alerts/causes/breaker/runbook")
    assert runbook["cause"] == breaker
    assert runbook["sections"][1]["steps"][0]["commands"] == "zmart breakers"
    assert client.get("/api/alerts/causes/none/runbook").status_code == 404
