"""Coverage, gaps, differences and alerts: what is known of the ledger's completeness."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, insert, text

from tests.api.recorded_ledger import store
from tests.ledger.recorded_rpc import Recorder, identity, signature
from zmart_pipelines.ledger.readers.coverage import advance_cursor, record_coverage
from zmart_pipelines.ledger.rows.event_rows import Gap, close_gaps, open_gaps
from zmart_pipelines.store.tables import ops
from zmart_pipelines.store.tables.reconciliation import reconciliations

Client = TestClient[Litestar]


def read(client: Client, url: str) -> Any:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.text)
    return answer.json()


def walk(client: Client, url: str, member: str) -> list[Any]:
    """Return the rows of all pages of two."""
    separator = "&" if "?" in url else "?"
    rows, following = [], f"{url}{separator}limit=2"
    while True:
        answer = client.get(following)
        page = answer.json()
        rows += page[member]
        if page["next"] is None:
            assert "link" not in answer.headers
            return rows
        assert page["next"] in answer.headers["link"]
        following = f"{url}{separator}limit=2&cursor={page['next']}"


def test_coverage_names_what_was_not_read(client: Client, ledger: Engine) -> None:
    empty = read(client, "/api/coverage")
    assert (empty["first_slot"], empty["last_slot"], empty["percentage"]) == (None, None, 0)
    with ledger.begin() as conn:
        for first, last in ((100, 199), (250, 299), (300, 349), (360, 399)):
            record_coverage(conn, first, last)
        advance_cursor(conn, "confirmed", 410)
    shown = read(client, "/api/coverage")
    assert (shown["first_slot"], shown["last_slot"], shown["confirmed_slot"]) == (100, 399, 410)
    assert shown["covered_slots"] == 100 + 100 + 40
    assert shown["percentage"] == 80
    assert shown["uncovered_intervals"] == 2
    assert shown["uncovered"] == [
        {"first_slot": 350, "last_slot": 359, "slots": 10},
        {"first_slot": 200, "last_slot": 249, "slots": 50},
    ]


def test_gaps_are_listed_by_kind_and_state_without_endpoints(
    client: Client, ledger: Engine
) -> None:
    kinds = ("unread", "unread", "incomplete", "inapplicable", "unread")
    for number, kind in enumerate(kinds):
        with ledger.begin() as conn:
            reason = f"no node had it: ConnectError at https://node.example/?key=k{number}"
            open_gaps(conn, [Gap(signature("gap", number), kind, number, reason)])
    with ledger.begin() as conn:
        close_gaps(conn, [signature("gap", 1)], ["unread"])
    rows = walk(client, "/api/coverage/gaps", "gaps")
    assert [row["slot"] for row in rows] == [4, 3, 2, 1, 0]
    assert rows == read(client, "/api/coverage/gaps")["gaps"]
    assert "example" not in str(rows)
    assert [row["slot"] for row in walk(client, "/api/coverage/gaps?kind=unread", "gaps")] == [
        4, 1, 0,
    ]  # fmt: skip
    closed = read(client, "/api/coverage/gaps?open=false")["gaps"]
    assert [(row["slot"], row["closed_at"] is None) for row in closed] == [(1, False)]
    summary = read(client, "/api/coverage")
    assert summary["open_gaps"] == 4
    assert {row["kind"]: row["gaps"] for row in summary["gaps_by_kind"]} == {
        "inapplicable": 1,
        "incomplete": 1,
        "unread": 2,
    }
    assert summary["oldest_gap_at"] == rows[-1]["opened_at"]
    assert client.get("/api/coverage/gaps?kind=other").status_code == 400
    assert client.get("/api/coverage/gaps?open=perhaps").json()["details"][0]["field"] == "open"


def test_reconciliations_and_differences(client: Client, ledger: Engine) -> None:
    chain = Recorder("compared")
    market_id = chain.create(1)
    store(ledger, chain.transactions, "finalized")
    with ledger.begin() as conn:
        for number in range(5):
            conn.execute(
                insert(reconciliations).values(
                    market_slot=number,
                    position_slot=number,
                    markets=1,
                    positions=2,
                    in_flight=0,
                    lag=number,
                    missing_event=0,
                    decode_error=0,
                    drift=0,
                )
            )
        for name, cause in (("state", "lag"), ("total_volume", "drift"), ("bump", "lag")):
            conn.execute(
                insert(ops.differences).values(
                    {
                        "market_id": market_id,
                        "user": bytes(chain.users[1]) if name == "bump" else None,
                        "field": name,
                        "folded": "1",
                        "chain": "2",
                        "class": cause,
                        "slot": 7,
                    }
                )
            )
        conn.execute(text("UPDATE ops.differences SET cleared_at = now() WHERE field = 'bump'"))
    rows = walk(client, "/api/reconciliation", "reconciliations")
    assert [row["differences"]["lag"] for row in rows] == [4, 3, 2, 1, 0]
    summary = read(client, "/api/reconciliation")
    assert summary["status"] == "differs"
    assert summary["open_differences"] == {
        "in_flight": 0, "lag": 1, "missing_event": 0, "decode_error": 0, "drift": 1,
    }  # fmt: skip
    differences = walk(client, "/api/reconciliation/differences", "differences")
    assert [row["field"] for row in differences] == ["bump", "total_volume", "state"]
    assert differences[0]["user_wallet"] == str(chain.users[1])
    assert (differences[1]["ledger"], differences[1]["chain"]) == ("1", "2")
    assert (
        read(client, "/api/reconciliation/differences?open=true")["differences"]
        == (differences[1:])
    )
    of_market = f"/api/reconciliation/differences?market={market_id.hex()}"
    assert read(client, of_market)["differences"] == differences
    unknown = f"/api/reconciliation/differences?market={identity(9).hex()}"
    assert client.get(unknown).status_code == 404


def test_alerts_are_listed_without_their_texts(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        for number, topic in enumerate(("check", "breaker", "run")):
            conn.execute(
                insert(ops.alerts).values(
                    topic=topic,
                    subject=f"https://node.example/{number}",
                    severity="high",
                    message="secret",
                    market_id=identity(1) if number == 1 else None,
                )
            )
        conn.execute(text("UPDATE ops.alerts SET cleared_at = now() WHERE topic = 'check'"))
    # The API, beside which nothing runs, raises alerts about its own health meanwhile.
    rows = [row for row in walk(client, "/api/alerts", "alerts") if row["topic"] != "health"]
    assert [row["topic"] for row in rows] == ["run", "breaker", "check"]
    assert rows[1]["market_id"] == identity(1).hex()
    assert "example" not in str(rows)
    assert "secret" not in str(rows)
    unresolved = read(client, "/api/alerts?open=true&limit=200")["alerts"]
    assert [row for row in unresolved if row["topic"] != "health"] == rows[:2]
