"""Thresholds to the last basis point, here and in the program."""

from __future__ import annotations

import pytest
from solders.instruction import Instruction
from sqlalchemy import Engine, text

from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, address
from tests.voting.test_tallies import configure
from tests.voting.world import add_market
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.lifecycle import meets_threshold
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions import due_markets
from zmart_pipelines.voting import due_proposals

MOST = 2**32 - 1

# For, against, threshold, whether it is reached.
COUNTS = [
    (0, 0, 7000, False),
    (0, 1, 7000, False),
    (1, 0, 7000, True),
    (6999, 3001, 7000, False),
    (7000, 3000, 7000, True),
    (5999, 4001, 6000, False),
    (6000, 4000, 6000, True),
    (69_999, 30_001, 7000, False),
    (MOST, 0, 7000, True),
    (0, MOST, 7000, False),
    # The last number of votes for with which 2^32 - 1 votes stay below 70 %, and the next.
    (3_006_477_106, MOST - 3_006_477_106, 7000, False),
    (3_006_477_107, MOST - 3_006_477_107, 7000, True),
    (2_576_980_376, MOST - 2_576_980_376, 6000, False),
    (2_576_980_377, MOST - 2_576_980_377, 6000, True),
]
PROPOSALS = [one for one in COUNTS if one[2] == 7000]
DISPUTES = [one for one in COUNTS if one[2] == 6000]


@pytest.mark.parametrize(("votes_for", "votes_against", "threshold", "reached"), COUNTS)
def test_the_rule(votes_for: int, votes_against: int, threshold: int, reached: bool) -> None:
    assert meets_threshold(votes_for, votes_for + votes_against, threshold) is reached


def test_scan_finds_exactly_the_proposals_that_reach_the_threshold(
    ingest: Engine, pipelines: Engine, database: str
) -> None:
    configure(ingest, 7000)
    owner = role_engine(Role.OWNER, database)
    reached = set()
    for number, (votes_for, votes_against, _, enough) in enumerate(PROPOSALS, 1):
        market = add_market(ingest, number)
        with owner.begin() as conn:
            conn.execute(
                text(
                    "INSERT INTO voting.tallies"
                    " (market_id, kind, votes_for, votes_against, ballots)"
                    " VALUES (:market, 'proposal', :likes, :dislikes, :likes + :dislikes)"
                ),
                {"market": market, "likes": votes_for, "dislikes": votes_against},
            )
        if enough:
            reached.add(market)
    owner.dispose()
    with pipelines.begin() as conn:
        found = due_proposals.scan_proposals(conn, Settings(min_proposal_votes=1))
    assert {one.market_id for one in found.passing} == reached


@pytest.fixture
def chain() -> Recorder:
    return Recorder()


def succeeds(chain: Recorder, *instructions: Instruction) -> bool:
    ok = chain.send(*instructions).error is None
    chain.advance()
    return ok


@pytest.mark.parametrize(("likes", "dislikes", "threshold", "reached"), PROPOSALS)
def test_the_program_approves_exactly_those(
    chain: Recorder, likes: int, dislikes: int, threshold: int, reached: bool
) -> None:
    market = chain.create(1)
    assert succeeds(
        chain,
        ix.aggregate_proposal_votes(
            PROGRAM,
            backend_authority=chain.backend,
            market=address(market),
            likes=likes,
            dislikes=dislikes,
        ),
    )
    approval = ix.approve_proposal(PROGRAM, admin=chain.admin, market=address(market))
    assert succeeds(chain, approval) is reached


@pytest.mark.parametrize(("agree", "disagree", "threshold", "reached"), DISPUTES)
def test_the_program_overturns_exactly_those(
    chain: Recorder, agree: int, disagree: int, threshold: int, reached: bool
) -> None:
    market = chain.create(1)
    chain.open(market)
    chain.buy(market, chain.users[1], cost=SOL)
    chain.advance(seconds=60)
    evidence = b"Qm" + b"1" * 44
    user = chain.users[1]
    assert succeeds(
        chain,
        ix.resolve_market(
            PROGRAM, resolver=user, market=address(market), outcome=True, evidence_hash=evidence
        ),
    )
    assert succeeds(chain, ix.initiate_dispute(PROGRAM, initiator=user, market=address(market)))
    assert succeeds(
        chain,
        ix.finalize_market(
            PROGRAM,
            backend_authority=chain.backend,
            market=address(market),
            dispute_agree=agree,
            dispute_disagree=disagree,
        ),
    )
    assert chain.market(market).final_outcome is not reached


def test_windows_end_at_their_second(ingest: Engine, pipelines: Engine) -> None:
    """Found from the first second after the window and the margin, and not one before."""
    resolving = add_market(ingest, 1, MarketState.RESOLVING)
    disputed = add_market(ingest, 2, MarketState.DISPUTED)
    start = 1_800_000_000
    with ingest.begin() as conn:
        conn.execute(
            text(
                "UPDATE market.markets SET resolution_proposed_at = :at, dispute_initiated_at = :at"
            ),
            {"at": start},
        )
    times = due_markets.VotingPeriods(dispute_window=3600, dispute_vote=7200, margin=2)
    expected = {
        start: set(),
        start + 1: set(),
        start + 3599: set(),
        start + 3600: set(),
        start + 3601: set(),
        start + 3602: {resolving},
        start + 7201: {resolving},
        start + 7202: {resolving, disputed},
    }
    with pipelines.connect() as conn:
        found = {now: set(due_markets.elapsed_windows(conn, now, times)) for now in expected}
    assert found == expected
