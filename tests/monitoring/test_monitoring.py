"""Heartbeats, alerts and health on a real database; the judgement itself by its times."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text

from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.monitoring.health import SERVICES, Service, health, service_state
from zmart_pipelines.monitoring.heartbeats import MAX_ERROR, record_heartbeat
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.tables.ops import alerts, heartbeats

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WORKER = Service("worker", timedelta(seconds=60), ("finalize_market",))


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    pool = engine(Role.PIPELINES, database)
    with pool.begin() as connection:
        yield connection
    pool.dispose()


def ago(seconds: float | None) -> datetime | None:
    return None if seconds is None else NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("up", "success", "error", "work", "expected"),
    [
        (10, None, None, True, "starting"),  # never ran, inside its first interval
        (61, None, None, True, "down"),  # never ran, past it
        (500, 5, None, True, "ok"),
        (500, 5, None, False, "idle"),
        (500, 61, None, True, "down"),
        (500, 20, 5, True, "degraded"),  # the last attempt failed
        (500, 5, 20, True, "ok"),  # it succeeded since
        (500, 61, 1, True, "down"),
        (10, 3600, None, True, "starting"),  # it slept with the system
        (10, 3600, 3500, True, "starting"),
    ],
)
def test_service_state_by_times(
    up: float, success: float | None, error: float | None, work: bool, expected: str
) -> None:
    up_since = ago(up)
    assert up_since is not None
    state = service_state(
        WORKER,
        now=NOW,
        up_since=up_since,
        success_at=ago(success),
        error_at=ago(error),
        work_open=work,
    )
    assert state == expected


@given(up=st.floats(0, 1e6), success=st.floats(0, 1e6), error=st.none() | st.floats(0, 1e6))
def test_service_within_its_deadline_is_never_down(
    up: float, success: float, error: float | None
) -> None:
    up_since = ago(up)
    assert up_since is not None
    state = service_state(
        WORKER,
        now=NOW,
        up_since=up_since,
        success_at=ago(success),
        error_at=ago(error),
        work_open=True,
    )
    assert (state == "down") == (min(success, up) > 60)


def test_heartbeat_keeps_the_last_error_and_error_keeps_the_last_success(
    conn: Connection,
) -> None:
    record_heartbeat(conn, "event-indexer", {"slot": 7})
    record_heartbeat(conn, "event-indexer", error="x" * (MAX_ERROR + 5))
    row = conn.execute(select(heartbeats)).one()
    assert (row.service, row.detail) == ("event-indexer", {"slot": 7})
    assert row.last_success_at is not None
    assert row.last_error == "x" * MAX_ERROR
    record_heartbeat(conn, "event-indexer", {"slot": 8})
    row = conn.execute(select(heartbeats)).one()
    assert row.detail == {"slot": 8}
    assert row.last_error == "x" * MAX_ERROR


def test_health_of_services_with_and_without_heartbeats(conn: Connection) -> None:
    record_heartbeat(conn, "vote-aggregator")
    found = health(conn)
    assert set(found) == set(SERVICES)
    assert found["vote-aggregator"].state == "idle"
    assert found["vote-aggregator"].silent_seconds == 0
    conn.execute(
        text(
            "INSERT INTO ops.intents (market_id, action, arguments) "
            "VALUES ('\\x01', 'aggregate_proposal_votes', '{}')"
        )
    )
    assert health(conn, "vote-aggregator")["vote-aggregator"].state == "ok"
    with pytest.raises(KeyError):
        health(conn, "coffee-machine")


LAG = AlertKey("lag", subject="confirmed")


def test_one_condition_is_one_alert_until_it_is_cleared(conn: Connection) -> None:
    assert raise_alert(conn, LAG, "medium", "behind by 60 slots") is True
    assert raise_alert(conn, LAG, "high", "behind by 120 slots", {"slots": 120}) is False
    row = conn.execute(select(alerts)).one()
    assert (row.severity, row.message, row.detail) == (
        "high",
        "behind by 120 slots",
        {"slots": 120},
    )
    assert clear_alert(conn, LAG) is True
    assert clear_alert(conn, LAG) is False
    assert raise_alert(conn, LAG, "medium", "behind again") is True
    assert len(conn.execute(select(alerts)).all()) == 2


def test_keys_that_differ_in_one_part_are_different_alerts(conn: Connection) -> None:
    market = bytes(range(32))
    keys = [
        AlertKey("lag"),
        AlertKey("lag", market),
        AlertKey("lag", subject="x"),
        AlertKey("lag", market, "x"),
    ]
    for key in keys:
        assert raise_alert(conn, key, "medium", "behind")
        assert not raise_alert(conn, key, "medium", "behind")
    raise_alert(conn, AlertKey("other"), "medium", "of another topic")
    assert open_alerts(conn, topic="lag") == keys
    assert clear_alert(conn, keys[0])
    assert open_alerts(conn, topic="lag") == keys[1:]
    assert [str(key) for key in keys] == [
        "lag",
        f"lag:{market.hex()}",
        "lag:x",
        f"lag:{market.hex()}:x",
    ]
