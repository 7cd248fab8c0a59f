"""Votes, comments, submissions and the ledger itself, as the reads show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, text, update

from tests.ledger.recorded_rpc import PROGRAM, Recorder, address, identity, key
from tests.store.conftest import Engines, ingest_all
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.store.engine import Role, act_as
from zmart_pipelines.store.queries import (
    discussions,
    health,
    submissions,
    votes,
    wallet_activity,
)
from zmart_pipelines.store.tables import community, ops, voting

CATEGORIES = ("crypto", "sports", "crypto", "other")


def test_on_chain_vote_takes_precedence_over_ballot(
    engines: Engines, conn: Connection, lively: Recorder
) -> None:
    voter, other = lively.users[1], bytes(lively.users[2])
    market_id = identity(3)
    lively.send(ix.submit_proposal_vote(PROGRAM, user=voter, market=address(market_id), vote=False))
    ingest_all(engines, lively)
    assert votes.counts(conn, market_id, "proposal") == votes.VoteCounts("proposal", 0, 0, 1, None)
    conn.rollback()
    for wallet in (bytes(voter), other):
        with engines[Role.API].begin() as writer:
            act_as(writer, wallet)
            writer.execute(
                insert(voting.ballots).values(
                    market_id=market_id,
                    kind="proposal",
                    wallet=wallet,
                    choice=True,
                    scheme="zmart-1",
                    message="m",
                    signature=wallet * 2,
                    nonce="n",
                )
            )
    with engines[Role.PIPELINES].begin() as writer:
        writer.execute(
            insert(voting.tallies).values(
                market_id=market_id, kind="proposal", votes_for=2, votes_against=0
            )
        )
    found = {
        one.wallet: one for one in votes.votes_of_market(conn, market_id, kind="proposal", round_=0)
    }
    assert (found[bytes(voter)].source, found[bytes(voter)].choice) == ("chain", False)
    assert (found[other].source, found[other].choice) == ("wallet", True)
    assert found[other].ballot_id is not None
    assert votes.counts(conn, market_id, "proposal") == votes.VoteCounts(
        "proposal", 0, 1, 1, "open"
    )
    assert votes.counts(conn, market_id, "proposal").total == 2
    # Reopened: the chain's record counts again, the ballots of the round before do not.
    with engines[Role.PIPELINES].begin() as writer:
        for status in ("frozen", "reopened"):
            writer.execute(update(voting.tallies).values(status=status, frozen_slot=1))
        reopened = {"market_id": market_id, "kind": "proposal", "round": 1, "opened_chain_time": 9}
        writer.execute(insert(voting.tallies).values(reopened))
    assert votes.latest_round(conn, market_id, "proposal") == 1
    assert votes.counts(conn, market_id, "proposal").total == 1
    assert {one.wallet for one in votes.votes_of_market(conn, market_id)} == {bytes(voter), other}
    assert [one.choice for one in wallet_activity.votes_of_wallet(conn, other)] == [True]
    assert wallet_activity.votes_of_wallet(conn, other, kind="dispute") == []
    assert votes.counts_of_wallet(conn, bytes(voter)) == {"proposal": 1, "dispute": 0}
    assert votes.count_voters(conn) == 2
    assert [(one.round, one.votes_for) for one in votes.tallies(conn, kind="proposal")] == [
        (1, 0),
        (0, 2),
    ]
    assert votes.tallies(conn, status="frozen") == []


def test_a_dispute_is_decided_by_holders(
    engines: Engines, conn: Connection, lively: Recorder
) -> None:
    market_id, market = identity(1), address(identity(1))
    lively.send(
        ix.resolve_market(
            PROGRAM,
            resolver=lively.users[5],
            market=market,
            outcome=True,
            evidence_hash=b"Qm" + b"e" * 44,
        )
    )
    lively.advance()
    lively.send(ix.initiate_dispute(PROGRAM, initiator=lively.users[4], market=market))
    holder, other = lively.users[1], lively.users[2]
    for user in (holder, other):
        lively.send(ix.submit_dispute_vote(PROGRAM, user=user, market=market, vote=True))
    ingest_all(engines, lively)
    assert [one.wallet for one in votes.votes_of_market(conn, market_id)] == [bytes(holder)]
    assert votes.counts(conn, market_id, "dispute").total == 1


def test_deleted_discussions_are_hidden(engines: Engines, conn: Connection) -> None:
    wallet, market_id = bytes(key("talker")), identity(1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with engines[Role.OWNER].begin() as writer:
        writer.execute(insert(community.users).values(wallet=wallet))
        writer.execute(
            insert(community.discussions),
            [
                {
                    "market_id": market_id,
                    "wallet": wallet,
                    "content": f"comment {number}",
                    "created_at": start + timedelta(minutes=number),
                }
                for number in range(5)
            ],
        )
    found = discussions.threads(conn, market_id)
    assert [one.content for one in found] == [f"comment {number}" for number in (4, 3, 2, 1, 0)]
    after = (found[1].created_at, found[1].id)
    assert discussions.threads(conn, market_id, after=after) == found[2:]
    assert discussions.comments_of_wallet(conn, wallet, limit=2, offset=1) == found[1:3]
    conn.rollback()
    with engines[Role.API].begin() as writer:
        act_as(writer, wallet)
        writer.execute(
            text("UPDATE community.discussions SET deleted_at = now() WHERE id = :id"),
            {"id": found[0].id},
        )
    assert discussions.threads(conn, market_id) == found[1:]
    assert discussions.count_threads(conn, market_id) == 4
    deleted = discussions.get(conn, found[0].id)
    assert deleted is not None
    assert deleted.deleted_at is not None
    assert discussions.threads(conn, identity(2)) == []


def test_intents_and_attempts(engines: Engines, conn: Connection, lively: Recorder) -> None:
    with engines[Role.PIPELINES].begin() as writer:
        for status in ("planned", "live", "final"):
            intent_id = writer.execute(
                insert(ops.intents)
                .values(
                    market_id=identity(0 if status == "live" else 77),
                    action="finalize_market",
                    round=len(status),
                    arguments={"agree": None},
                    status=status,
                )
                .returning(ops.intents.c.id)
            ).scalar_one()
        writer.execute(
            insert(ops.attempts).values(
                intent_id=intent_id,
                market_id=identity(77),
                signature=bytes(64),
                transaction=b"secret until sent",
                blockhash="x",
                last_valid_block_height=5,
                epoch=1,
            )
        )
    opened = submissions.open_intents(conn)
    assert [one.status for one in opened] == ["planned", "live"]
    assert [one.question for one in opened] == [None, "Does 100% of number_0 hold?"]
    assert [one.status for one in submissions.intents(conn, market_id=identity(0))] == ["live"]
    (attempt,) = submissions.attempts(conn, intent_id=intent_id)
    assert attempt.status == "signed"
    assert submissions.attempts(conn, intent_id=-1) == []
    assert submissions.counts_by_status(conn) == {"planned": 1, "live": 1, "final": 1}
    assert lively.market_ids


def test_ledger_lag_and_gaps(engines: Engines, conn: Connection, chain: Recorder) -> None:
    lag = health.ledger_lag(conn)
    assert lag.transactions == len(chain.transactions)
    assert lag.latest_slot == chain.transactions[-1].slot
    assert (lag.reported, lag.confirmed, lag.gaps, lag.quarantined) == (0, 0, 0, 0)
    counted = {one.name: one.events for one in health.event_counts(conn)}
    assert counted["MarketCreated"] == len(chain.markets())
    assert sum(counted.values()) == lag.events
    conn.rollback()
    with engines[Role.INGEST].begin() as writer:
        writer.execute(
            text(
                "INSERT INTO chain.coverage (slots) VALUES (int8range(0, 10)), (int8range(20, 30))"
            )
        )
    ranges = health.coverage(conn)
    assert [(one.first_slot, one.last_slot) for one in ranges] == [(0, 9), (20, 29)]
    assert health.ledger_lag(conn).uncovered_ranges == 1


def test_touching_covered_ranges_are_merged(engines: Engines) -> None:
    with engines[Role.INGEST].begin() as writer:
        for first, last in ((10, 19), (30, 39), (20, 25), (15, 22), (50, 50), (26, 29)):
            coverage.record_coverage(writer, first, last)
        ranges = [(one.first_slot, one.last_slot) for one in health.coverage(writer)]
        assert ranges == [(10, 39), (50, 50)]
        assert [coverage.is_covered(writer, slot) for slot in (9, 10, 39, 40, 50)] == [
            False,
            True,
            True,
            False,
            True,
        ]
        assert coverage.read_cursor(writer, "finalized") is None
        coverage.advance_cursor(writer, "finalized", 7)
        coverage.advance_cursor(writer, "finalized", 5)
        assert coverage.read_cursor(writer, "finalized") == 7
