"""Heartbeats and alerts on a real database."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, select

from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.monitoring.heartbeats import MAX_ERROR, record_heartbeat
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import alerts, heartbeats


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    pool = role_engine(Role.PIPELINES, database)
    with pool.begin() as connection:
        yield connection
    pool.dispose()


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


def test_message_is_plain_text_whatever_a_library_says(conn: Connection) -> None:
    raise_alert(conn, LAG, "high", "it cannot be planned: Expected `int`, got `str` - at `$.b`")
    found = conn.execute(select(alerts.c.message)).scalar_one()
    assert found == "it cannot be planned: Expected int, got str - at $.b"
    raise_alert(conn, LAG, "high", "sign it with `zmart admin`")
    assert conn.execute(select(alerts.c.message)).scalar_one() == "sign it with zmart admin"


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


def alert_frames(conn: Connection) -> list[tuple[str, str, str, str | None]]:
    """Channel, action, severity and text of each frame so far."""
    return [
        (
            frame.channel,
            frame.payload["action"],
            frame.payload["severity"],
            frame.payload.get("message"),
        )
        for frame in stream.read_after(conn, 0)
    ]


def test_clients_are_told_what_becomes_of_an_alert_operators_with_its_text(
    database: str,
) -> None:
    pool = role_engine(Role.PIPELINES, database)
    acts: list[Callable[[Connection], bool]] = [
        lambda conn: raise_alert(conn, LAG, "medium", "behind by 60 slots"),
        lambda conn: raise_alert(conn, LAG, "medium", "behind by 70 slots"),
        lambda conn: raise_alert(conn, LAG, "high", "behind by 120 slots", {"slots": 120}),
        lambda conn: clear_alert(conn, LAG),
        lambda conn: clear_alert(conn, LAG),
    ]
    for act in acts:
        with pool.begin() as conn:
            act(conn)
    with pool.connect() as conn:
        assert alert_frames(conn) == [
            ("alerts", "raised", "medium", None),
            ("alerts:operators", "raised", "medium", "behind by 60 slots"),
            ("alerts", "changed", "high", None),
            ("alerts:operators", "changed", "high", "behind by 120 slots"),
            ("alerts", "cleared", "high", None),
            ("alerts:operators", "cleared", "high", "behind by 120 slots"),
        ]
        for frame in stream.read_after(conn, 0):
            assert (frame.channel == "alerts") == ("detail" not in frame.payload)
    pool.dispose()


def test_an_alert_raised_by_two_at_once_is_told_once(database: str) -> None:
    pool = role_engine(Role.PIPELINES, database, pool_size=8)

    def observe(number: int) -> bool:
        with pool.begin() as conn:
            return raise_alert(conn, LAG, "high", f"seen by {number}")

    with ThreadPoolExecutor(8) as threads:
        new = list(threads.map(observe, range(24)))
    assert sum(new) == 1
    with pool.connect() as conn:
        assert [action for _, action, _, _ in alert_frames(conn)] == ["raised", "raised"]
    pool.dispose()
