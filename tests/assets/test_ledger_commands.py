"""``zmart tx`` and ``zmart deliveries`` on a ledger that was read from the real chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from assets.resources import Backend
from tests.assets.life import Life, run, slots_pass
from tests.fixtures.localnet import StartLocalnet
from tests.fixtures.postgres import name_database
from tests.ledger.recorded_rpc import PROGRAM, history
from tests.ledger.test_deliveries import body
from zmart_pipelines import base58
from zmart_pipelines.cli import main
from zmart_pipelines.ledger.readers.deliveries import process_delivery, store_delivery
from zmart_pipelines.store.engine import Role

UNKNOWN = base58.encode(bytes(range(64)))


@pytest.fixture
def life(
    start_localnet: StartLocalnet, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Life:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    name_database(monkeypatch, database)
    chain = start_localnet("--finality-depth", "4", "--dispute-period", "60")
    return Life.start(chain, database)


def zmart(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def signatures(owner: Engine, condition: str) -> list[str]:
    statement = f"SELECT signature FROM chain.events WHERE {condition} ORDER BY slot, log_index"
    with owner.connect() as conn:
        return [base58.encode(bytes(row[0])) for row in conn.execute(text(statement))]


def test_transaction_is_found_by_its_signature(life: Life, owner: Engine) -> None:
    backend = Backend(life.settings)
    market = life.propose()
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    (created,) = signatures(owner, "name = 'MarketCreated'")
    shown = zmart("tx", created)
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("finalized   slot ")
    assert "reported by finalized window" in shown.output
    assert f"MarketCreated of market {market.hex()}" in shown.output
    assert "submission" not in shown.output, "the wallet sent it"
    in_hex = base58.decode(created).hex()
    assert zmart("tx", in_hex).output == shown.output, "as zmart query shows it"

    life.vote(backend.engine(Role.API), market)
    with slots_pass(life.chain):
        run("aggregate_votes", backend)
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    (approved,) = signatures(owner, "name = 'ProposalApproved'")
    facts: dict[str, Any] = json.loads(zmart("tx", approved, "--json").output)
    assert facts["signature"] == approved
    (sent,) = facts["submissions"]
    assert (sent["action"], sent["status"], sent["market_id"]) == (
        "approve_proposal",
        "final",
        market.hex(),
    )
    assert sent["run_id"]
    (reading,) = facts["readings"]
    assert reading["sources"] == ["finalized window"]
    ours = zmart("tx", approved).output
    assert f"submission  intent {sent['intent_id']} (approve_proposal, final)" in ours


def test_gaps_hints_and_quarantine_of_a_transaction_are_shown(life: Life, owner: Engine) -> None:
    with owner.begin() as conn:
        delivery = conn.execute(
            text(
                "INSERT INTO chain.deliveries (source, body, body_sha256, transaction_count)"
                " VALUES ('helius-enhanced', '', '', 1) RETURNING id"
            )
        ).scalar_one()
        values = {"signature": bytes(range(64)), "delivery": delivery}
        conn.execute(
            text(
                "INSERT INTO chain.gaps (signature, kind, reason)"
                " VALUES (:signature, 'unread', 'no node has it')"
            ),
            values,
        )
        conn.execute(
            text("INSERT INTO chain.hints (signature, delivery_id) VALUES (:signature, :delivery)"),
            values,
        )
    shown = zmart("tx", UNKNOWN)
    assert shown.exit_code == 0
    assert "gap         unread, open, 0 attempts: no node has it" in shown.output
    assert f"hint        pending, named by delivery {delivery}" in shown.output

    with owner.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO chain.transactions (signature, digest, slot, failed, logs,"
                " logs_truncated, instructions, commitment, sources)"
                " VALUES (:signature, :digest, 7, false, '[]', false, '[]', 'confirmed', 3)"
            ),
            {**values, "digest": bytes(16)},
        )
        conn.execute(
            text(
                "INSERT INTO chain.events (signature, log_index, digest, slot, raw,"
                " quarantine_reason, commitment)"
                " VALUES (:signature, 4, :digest, 7, '', 'unknown layout', 'confirmed')"
            ),
            {**values, "digest": bytes(16)},
        )
    shown = zmart("tx", UNKNOWN)
    assert "confirmed   slot 7, index unknown, succeeded" in shown.output
    assert "reported by webhook, confirmed poll" in shown.output
    assert "quarantined line 4: unknown layout" in shown.output


@pytest.mark.parametrize("name", ["", "x", "0OIl", UNKNOWN * 2, "ab" * 63, "1" * 5000])
def test_what_is_no_signature_is_refused(name: str, life: Life) -> None:
    refused = zmart("tx", name)
    assert refused.exit_code == 2
    assert "is not a transaction's signature" in refused.output


def test_unknown_transaction_is_told(life: Life) -> None:
    assert zmart("tx", UNKNOWN).exit_code == 1
    assert json.loads(zmart("tx", UNKNOWN, "--json").output)["readings"] == []


def test_failed_deliveries_are_listed_and_retried(life: Life, owner: Engine) -> None:
    backend = Backend(life.settings)
    assert zmart("deliveries").output == "no delivery failed\n"
    with backend.engine(Role.INGEST).begin() as conn:
        number = store_delivery(conn, b"not json", transaction_count=1)
    done = run("process_deliveries", backend)["chain/deliveries"]
    (row,) = [record.data for record in done["Failed deliveries"].value.records]  # type: ignore[union-attr]
    assert row["id"] == number
    listed = zmart("deliveries")
    assert listed.exit_code == 1
    assert f"{number:>6}  " in listed.output
    assert "1 transactions, 1 attempts: " in listed.output
    (facts,) = json.loads(zmart("deliveries", "--json").output)
    assert facts["error"]
    shown = zmart("deliveries", "show", str(number))
    assert shown.exit_code == 1
    assert f"delivery    {number} from helius, failed, 1 attempts: {facts['error']}" in shown.output
    assert "8 bytes, 1 transactions" in shown.output
    again = zmart("deliveries", "retry", str(number))
    assert again.exit_code == 1
    assert f"delivery {number} failed again: {facts['error']}" in again.output
    # What the decoder could not read it can read now.
    with owner.begin() as conn:
        conn.execute(text("UPDATE chain.deliveries SET body = '[]'"))
    mended = zmart("deliveries", "retry", str(number))
    assert mended.exit_code == 0, mended.output
    assert f"delivery {number} is ingested: 0 new transactions" in mended.output
    assert zmart("deliveries").exit_code == 0
    assert zmart("deliveries", "show", str(number)).exit_code == 0
    assert zmart("deliveries", "retry", str(number + 1)).exit_code == 1
    assert zmart("deliveries", "show", str(number + 1)).exit_code == 1


def test_delivery_is_shown_with_what_the_ledger_has_of_it(life: Life) -> None:
    ingest = Backend(life.settings).engine(Role.INGEST)
    transactions = history(3, 2).transactions[:2]
    with ingest.begin() as conn:
        number = store_delivery(conn, body(transactions), transaction_count=2)
    before = json.loads(zmart("deliveries", "show", str(number), "--json").output)
    assert before["status"] == "received"
    names = [one.signature_text for one in transactions]
    assert [one["signature"] for one in before["transactions"]] == names
    assert {one["slot"] for one in before["transactions"]} == {None}
    process_delivery(ingest, number, program=PROGRAM)
    shown = zmart("deliveries", "show", str(number))
    assert shown.exit_code == 0, shown.output
    for one in transactions:
        assert f"transaction {one.signature_text}: slot {one.slot}, reported," in shown.output
