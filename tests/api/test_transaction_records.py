"""A transaction by its signature: readings, events, how it came to us, and our submission."""

from __future__ import annotations

import json
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, insert

from tests.api.conftest import SECRET
from tests.api.payloads import raw
from tests.api.recorded_ledger import store, two_markets
from tests.ledger.recorded_rpc import SOL, Recorder, identity
from zmart_pipelines import base58
from zmart_pipelines.ledger.rows.event_rows import Gap, open_gaps
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import ops

Client = TestClient[Litestar]
ONE, TWO = identity(1), identity(2)


@pytest.fixture
def chain(ledger: Engine) -> Recorder:
    return two_markets(ledger)


def read(client: Client, signature: str) -> Any:
    answer = client.get(f"/api/transactions/{signature}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_confirmed_transaction_has_its_events_and_its_false_report(
    client: Client, chain: Recorder
) -> None:
    bought = chain.transactions[-2]
    shown = read(client, bought.signature_text)
    assert (shown["commitment"], shown["slot"], shown["failed"]) == (
        "confirmed",
        bought.slot,
        False,
    )
    assert shown["reported_at"] is None
    assert shown["confirmed_at"] is not None
    assert shown["finalized_at"] is None
    assert shown["sources"] == ["confirmed_poll"]
    assert [row["commitment"] for row in shown["readings"]] == ["orphaned", "confirmed"]
    assert [row["sources"] for row in shown["readings"]] == [["webhook"], ["confirmed_poll"]]
    events = {row["commitment"]: row for row in shown["events"]}
    assert events.keys() == {"orphaned", "confirmed"}
    assert events["confirmed"]["wallet"] == str(chain.users[2])
    assert events["orphaned"]["wallet"] == str(chain.users[4])
    listed = client.get(f"/api/markets/{TWO.hex()}/events?limit=1").json()["events"]
    assert listed == [events["confirmed"]]


def test_transaction_climbs_the_ladder_with_the_time_of_each_step(
    client: Client, chain: Recorder, ledger: Engine
) -> None:
    bought = chain.buy(ONE, chain.users[1])
    sent = client.post(
        "/api/webhooks/helius", json=[raw(bought)], headers={"Authorization": SECRET}
    )
    assert sent.status_code == 200, sent.text
    reported = read(client, bought.signature_text)
    assert (reported["commitment"], reported["sources"]) == ("reported", ["webhook"])
    assert (reported["confirmed_at"], reported["finalized_at"]) == (None, None)
    store(ledger, [bought], "confirmed")
    confirmed = read(client, bought.signature_text)
    store(ledger, [bought], "finalized")
    finalized = read(client, bought.signature_text)
    times = [finalized[f"{step}_at"] for step in ("reported", "confirmed", "finalized")]
    assert times == sorted(times)
    assert reported["reported_at"] == confirmed["reported_at"] == times[0]
    assert confirmed["confirmed_at"] == times[1]
    assert confirmed["finalized_at"] is None
    assert finalized["sources"] == ["webhook", "confirmed_poll", "finalized_window"]
    assert finalized["readings"][0]["delivered_at"] == times[0]


def test_failed_transaction_names_the_programs_error(client: Client, chain: Recorder) -> None:
    failed = next(one for one in chain.transactions if one.error is not None)
    shown = read(client, failed.signature_text)
    assert shown["failed"] is True
    assert shown["events"] == []
    code = failed.error["InstructionError"][1]["Custom"]
    assert shown["error"]["code"] == code == 6018
    assert shown["error"]["name"] == "TradeTooSmall"
    assert shown["error"]["message"]
    assert shown["error"]["raw"] == failed.error


def test_gap_names_no_endpoint_and_submission_is_shown(
    client: Client, chain: Recorder, ledger: Engine, database: str
) -> None:
    missing = base58.encode(bytes(range(1, 65)))
    with ledger.begin() as conn:
        reason = "getTransaction: ConnectError at https://rpc.example.com/?api-key=secret"
        open_gaps(conn, [Gap(bytes(range(1, 65)), "unread", 7, reason)])
    shown = read(client, missing)
    assert (shown["commitment"], shown["readings"], shown["events"]) == (None, [], [])
    (gap,) = shown["gaps"]
    assert (gap["kind"], gap["closed_at"]) == ("unread", None)
    assert "example.com" not in json.dumps(shown)
    assert "secret" not in json.dumps(shown)

    approval = chain.transactions[4]
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        intent = conn.execute(
            insert(ops.intents)
            .values(market_id=ONE, action="approve_proposal", arguments={})
            .returning(ops.intents.c.id)
        ).scalar_one()
        conn.execute(
            insert(ops.attempts).values(
                intent_id=intent,
                market_id=ONE,
                signature=base58.decode(approval.signature_text),
                transaction=b"signed",
                blockhash="1" * 32,
                last_valid_block_height=SOL,
                epoch=1,
            )
        )
    owner.dispose()
    (sent,) = read(client, approval.signature_text)["submissions"]
    assert (sent["action"], sent["intent_id"], sent["market_id"]) == (
        "approve_proposal",
        intent,
        ONE.hex(),
    )
    assert (sent["intent_status"], sent["attempt_status"]) == ("planned", "signed")


def test_unknown_signature_is_not_found(client: Client, chain: Recorder) -> None:
    assert chain.transactions
    unknown = base58.encode(bytes(range(64)))
    answer = client.get(f"/api/transactions/{unknown}")
    assert (answer.status_code, answer.json()["code"]) == (404, "transaction_not_found")
