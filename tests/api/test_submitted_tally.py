"""A tally from ballots to its finalized transaction, as the read routes show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from assets.resources import Backend
from tests.assets.life import Life, run, slots_pass
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.voting.bundle import recount

Client = TestClient[Litestar]


@pytest.fixture
def life(start_localnet: StartLocalnet, database: str, tmp_path: Path) -> Life:
    chain = start_localnet("--finality-depth", "4", "--dispute-period", "60")
    return Life.start(chain, database)


@pytest.fixture
def reading(life: Life) -> Iterator[Client]:
    with TestClient(create_app(life.settings), raise_server_exceptions=False) as made:
        yield made


def read(client: Client, url: str) -> Any:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.text)
    return answer.json()


def test_tally_is_followed_from_ballots_to_the_account(
    life: Life, reading: Client, database: str
) -> None:
    backend = Backend(life.settings)
    market = life.propose()
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    voters = role_engine(Role.API, database)
    life.vote(voters, market, likes=10, dislikes=2)
    voters.dispose()
    (tally,) = read(reading, f"/api/markets/{market.hex()}/tallies")["tallies"]
    assert (tally["status"], tally["kind"], tally["round"]) == ("open", "proposal", 0)
    assert (tally["votes_for"], tally["votes_against"], tally["ballots"]) == (10, 2, 12)
    assert tally["share_bps"] == 8333
    threshold = life.reader.config().value.proposal_approval_threshold
    assert tally["rule"]["threshold_bps"] == threshold == 7000
    assert tally["rule"]["is_met"] is True
    assert tally["rule"]["text"] == (
        "The proposal is approved if at least 70 % of the votes like and at least 10 wallets voted."
    )
    assert (tally["submission"], tally["on_chain"], tally["bundle_cid"]) == (None, None, None)
    assert read(reading, "/api/tallies")["tallies"] == []

    with slots_pass(life.chain):
        run("aggregate_votes", backend)
    life.chain.control.finalize()
    run("read_finalized_window", backend)

    (tally,) = read(reading, f"/api/markets/{market.hex()}/tallies")["tallies"]
    cid = tally["bundle_cid"]
    assert tally["status"] == "frozen"
    assert tally["frozen_at"]
    assert tally["on_chain"] == {
        "votes_for": 10,
        "votes_against": 2,
        "matches": True,
        "exact": {"votes_for": "10", "votes_against": "2"},
    }
    assert tally["submission"]["memo"].endswith(cid)
    assert cid in tally["verify"]
    assert read(reading, "/api/tallies?kind=proposal")["tallies"] == [tally]
    assert read(reading, "/api/tallies?kind=dispute")["tallies"] == []
    assert read(reading, f"/api/tallies/{cid}") == tally
    pinned = reading.get(tally["bundle_url"])
    assert cid_v0(pinned.content) == cid
    counted = recount(cid, {cid: pinned.content}.__getitem__)
    assert (counted.votes_for, counted.votes_against, counted.problems) == (10, 2, ())

    listed = read(reading, f"/api/submissions?market={market.hex()}")["submissions"]
    assert [row["action"] for row in listed] == ["approve_proposal", "aggregate_proposal_votes"]
    aggregated = listed[1]
    assert (aggregated["status"], aggregated["bundle_cid"]) == ("final", cid)
    assert aggregated["signature"] == tally["submission"]["signature"]
    assert aggregated["fees"] >= 5000
    assert aggregated["final_at"] > aggregated["planned_at"]
    assert aggregated["seconds_to_final"] > 0
    detail = read(reading, f"/api/submissions/{aggregated['id']}")
    assert detail["arguments"]["likes"] == 10
    assert [one["status"] for one in detail["transactions"]] == ["final"]
    assert {name: detail[name] for name in aggregated} == aggregated
    transaction = read(reading, f"/api/transactions/{aggregated['signature']}")
    assert transaction["commitment"] == "finalized"
    assert transaction["slot"] == aggregated["landed_slot"]
    (sent,) = transaction["submissions"]
    assert (sent["intent_id"], sent["attempt_status"]) == (aggregated["id"], "final")
    assert [row["type"] for row in transaction["events"]] == ["ProposalAggregated"]
    filtered = read(reading, "/api/submissions?action=approve_proposal&status=final&status=live")
    assert filtered["submissions"] == listed[:1]
    page = read(reading, "/api/submissions?limit=1")
    assert page["submissions"] == listed[:1]
    assert (
        read(reading, f"/api/submissions?limit=1&cursor={page['next']}")["submissions"]
        == (listed[1:])
    )

    covered = read(reading, "/api/coverage")
    assert (covered["first_slot"], covered["percentage"], covered["uncovered_intervals"]) == (
        0,
        100,
        0,
    )
    assert covered["last_slot"] >= transaction["slot"]
    assert covered["covered_slots"] == covered["last_slot"] + 1
    assert (covered["open_gaps"], covered["oldest_gap_at"]) == (0, None)

    assert read(reading, "/api/reconciliation")["status"] == "unknown"
    run("reconcile", backend)
    compared = read(reading, "/api/reconciliation")
    assert compared["status"] == "agrees"
    (report,) = compared["reconciliations"]
    assert (report["markets"], report["positions"]) == (1, 0)
    assert set(report["differences"].values()) == {0}


@pytest.mark.parametrize(
    "path", ["/api/submissions/999999", f"/api/submissions/{2**70}", "/api/tallies/QmX"]
)
def test_what_does_not_exist_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404
