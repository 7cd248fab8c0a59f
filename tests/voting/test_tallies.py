"""Counts, the freeze, and the race between a freeze and those who still vote."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.signature import Signature
from sqlalchemy import Engine, func, insert, select, text

from tests.voting.world import (
    SETTINGS,
    add_chain_vote,
    add_market,
    add_position,
    ballot,
    wallet,
)
from zmart_pipelines.program.accounts import MarketState, VoteKind, VoteRecord
from zmart_pipelines.proofs.signatures import is_signed_by
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import market as market_tables
from zmart_pipelines.store.tables import voting
from zmart_pipelines.voting import due_proposals, tallies
from zmart_pipelines.voting.ballot import SignedBallot
from zmart_pipelines.voting.cast_results import BallotConflict, CastReceipt, VotingClosed
from zmart_pipelines.voting.casting import cast, cast_batch


def record(voter: int, choice: bool, kind: VoteKind = VoteKind.PROPOSAL) -> VoteRecord:
    return VoteRecord(
        market=bytes(32),
        user=bytes(wallet(voter).pubkey()),
        vote_type=kind,
        vote=choice,
        voted_at=1_700_000_000,
        bump=255,
    )


def vote(api: Engine, market: bytes, voters: range, choice: bool = True) -> None:
    for number in voters:
        with api.begin() as conn:
            cast(conn, ballot(market, wallet(number), choice), SETTINGS)


def freeze(pipelines: Engine, market: bytes, *records: VoteRecord) -> tallies.FrozenTally:
    with pipelines.begin() as conn:
        return tallies.freeze(
            conn, market, "proposal", 0, slot=77, chain_time=1234, chain_votes=records
        )


counted = st.builds(
    tallies.CountedBallot,
    wallet=st.integers(0, 9).map(lambda n: bytes(wallet(n + 1).pubkey())),
    source=st.just("wallet"),
    choice=st.booleans(),
    proof=st.just({}),
)
records = st.builds(
    record,
    st.integers(1, 10),
    st.booleans(),
    st.sampled_from([VoteKind.PROPOSAL, VoteKind.DISPUTE]),
)


@given(st.lists(counted, unique_by=lambda b: b.wallet), st.lists(records))
def test_effective_ballots(ballots: list[tallies.CountedBallot], votes: list[VoteRecord]) -> None:
    votes = list({(vote.user, vote.vote_type): vote for vote in votes}.values())
    result = tallies.effective(ballots, votes, "proposal")
    wallets = [one.wallet for one in result]
    assert wallets == sorted(set(wallets))
    on_chain = {vote.user: vote.vote for vote in votes if vote.vote_type == VoteKind.PROPOSAL}
    assert set(wallets) == {one.wallet for one in ballots} | set(on_chain)
    for one in result:
        assert (one.source == "chain") == (one.wallet in on_chain)
        assert one.choice == on_chain.get(
            one.wallet, next((b.choice for b in ballots if b.wallet == one.wallet), None)
        )
    assert tallies.effective(reversed(ballots), reversed(votes), "proposal") == result


def test_freeze_records_the_counted_ballots(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    market = add_market(ingest, 1)
    vote(api, market, range(1, 6))
    vote(api, market, range(6, 8), choice=False)
    frozen = freeze(pipelines, market, record(1, False), record(9, True))
    assert (frozen.tally.votes_for, frozen.tally.votes_against) == (5, 3)
    assert (frozen.tally.frozen_slot, frozen.tally.frozen_chain_time) == (77, 1234)
    assert [b.wallet for b in frozen.ballots] == sorted(
        bytes(wallet(n).pubkey()) for n in (1, 2, 3, 4, 5, 6, 7, 9)
    )
    for one in frozen.ballots:
        if one.source == "wallet":
            signature = bytes(Signature.from_string(one.proof["signature"]))
            assert is_signed_by(one.proof["message"], signature, one.wallet)
        else:
            assert one.proof == {"voted_at": 1_700_000_000}
    # Later changes have no effect.
    assert freeze(pipelines, market, record(8, True)) == frozen
    with pipelines.connect() as conn:
        assert tallies.read_frozen(conn, market, "proposal", 0) == frozen
        assert tallies.current_tally(conn, market, "proposal") == frozen.tally
        assert tallies.find_mismatches(conn) == []
        with pytest.raises(KeyError):
            tallies.read_frozen(conn, market, "dispute", 0)


def test_freeze_of_a_vote_without_stored_ballots(
    api: Engine, ingest: Engine, pipelines: Engine
) -> None:
    market = add_market(ingest, 1)
    frozen = freeze(pipelines, market, record(1, True))
    assert frozen.tally.total == 1
    with pytest.raises(VotingClosed):
        vote(api, market, range(2, 3))


def test_reopen_starts_the_next_round(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    market = add_market(ingest, 1)
    vote(api, market, range(1, 4))
    freeze(pipelines, market)
    with pipelines.begin() as conn:
        assert tallies.reopen(conn, market, "proposal", 5678) == 1
    with pytest.raises(KeyError), pipelines.begin() as conn:
        tallies.reopen(conn, market, "proposal", 5678)
    with api.begin() as conn:
        stored = cast(conn, ballot(market, wallet(1), False, round_number=1), SETTINGS)
    assert (stored.votes_for, stored.votes_against) == (0, 1)
    with pytest.raises(BallotConflict), api.begin() as conn:
        cast(conn, ballot(market, wallet(1), True, round_number=1), SETTINGS)
    with pipelines.begin() as conn:
        opened = tallies.current_tally(conn, market, "proposal")
        assert (opened.round, opened.opened_chain_time) == (1, 5678)
        assert tallies.read_frozen(conn, market, "proposal", 0).tally.status == "reopened"
        assert tallies.find_mismatches(conn) == []


def configure(ingest: Engine, threshold: int) -> None:
    with ingest.begin() as conn:
        conn.execute(
            insert(market_tables.config_history).values(
                signature=bytes(64),
                log_index=0,
                slot=1,
                index_in_block=0,
                changed_at=1,
                protocol_fee_bps=300,
                resolver_reward_bps=200,
                liquidity_provider_fee_bps=500,
                proposal_approval_threshold=threshold,
                dispute_success_threshold=6000,
                min_resolution_delay=1,
                dispute_period=15,
                is_paused=False,
            )
        )


def test_due_by_ballots_and_threshold(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    settings = Settings(min_proposal_votes=10)
    passed, short, below, elsewhere = (add_market(ingest, n) for n in range(1, 5))
    vote(api, passed, range(1, 8))
    vote(api, passed, range(8, 10), choice=False)
    add_chain_vote(ingest, passed, "proposal", wallet(10), False)
    vote(api, short, range(1, 10))
    vote(api, below, range(1, 8))
    vote(api, below, range(8, 12), choice=False)
    vote(api, elsewhere, range(1, 11))
    with ingest.begin() as conn:
        conn.execute(
            text("UPDATE market.markets SET state = :state WHERE market_id = :id"),
            {"state": int(MarketState.CANCELLED), "id": elsewhere},
        )
    with pipelines.connect() as conn:
        assert due_proposals.scan_proposals(conn, settings).passing == ()  # no configuration yet
    configure(ingest, 7000)
    with pipelines.connect() as conn:
        assert [one.market_id for one in due_proposals.scan_proposals(conn, settings).passing] == [
            passed
        ]
        found = tallies.current_tallies(conn, [passed, short, below], "proposal")
        assert {market: tally.total for market, tally in found.items()} == {
            passed: 10,
            short: 9,
            below: 11,
        }


def test_chain_votes_of_non_holders_do_not_decide_disputes(
    api: Engine, ingest: Engine, pipelines: Engine
) -> None:
    market = add_market(ingest, 1, MarketState.DISPUTED)
    add_position(ingest, market, wallet(1))
    add_chain_vote(ingest, market, "dispute", wallet(1), True)
    add_chain_vote(ingest, market, "dispute", wallet(2), False)
    with pipelines.connect() as conn:
        tally = tallies.current_tally(conn, market, "dispute")
        assert (tally.votes_for, tally.votes_against) == (1, 0)


def test_faults_are_found(api: Engine, ingest: Engine, pipelines: Engine, database: str) -> None:
    opened, cut, forged, frozen = (add_market(ingest, n) for n in range(1, 5))
    for market in (opened, cut, forged, frozen):
        vote(api, market, range(1, 5))
    for market in (cut, forged, frozen):
        freeze(pipelines, market, record(4, False))
    owner = role_engine(Role.OWNER, database)
    with owner.begin() as conn:
        conn.execute(text("ALTER TABLE voting.counted_ballots DISABLE TRIGGER USER"))
        conn.execute(
            text("UPDATE voting.tallies SET votes_for = 9 WHERE market_id = :id"), {"id": opened}
        )
        conn.execute(
            text("DELETE FROM voting.counted_ballots WHERE market_id = :id AND wallet = :wallet"),
            {"id": cut, "wallet": bytes(wallet(1).pubkey())},
        )
        conn.execute(
            text(
                "UPDATE voting.counted_ballots SET wallet = :to"
                " WHERE market_id = :id AND wallet = :wallet"
            ),
            {
                "id": forged,
                "wallet": bytes(wallet(1).pubkey()),
                "to": bytes(wallet(99).pubkey()),
            },
        )
    with pipelines.connect() as conn:
        found = {fault.market_id: fault for fault in tallies.find_mismatches(conn)}
    assert set(found) == {opened, cut, forged}
    assert found[opened].stored == (9, 0, 4)
    assert found[opened].counted == (4, 0, 4)
    assert (found[cut].not_counted, found[cut].not_stored) == (1, 0)
    assert (found[forged].not_counted, found[forged].not_stored) == (1, 1)
    with pipelines.begin() as conn:
        assert tallies.recount_tally(conn, opened, "proposal", 0).votes_for == 4
        assert {fault.market_id for fault in tallies.find_mismatches(conn)} == {cut, forged}
        assert tallies.recount_tally(conn, frozen, "proposal", 0).votes_for == 3
        with pytest.raises(KeyError):
            tallies.recount_tally(conn, opened, "dispute", 0)
    owner.dispose()


def test_bundle_is_recorded_once(api: Engine, ingest: Engine, pipelines: Engine) -> None:
    market = add_market(ingest, 1)
    vote(api, market, range(1, 3))
    tally = freeze(pipelines, market).tally
    with pipelines.begin() as conn:
        tallies.set_bundle(conn, tally, "Qm1")
        tallies.set_bundle(conn, tally, "Qm1")
        with pytest.raises(ValueError, match="has another bundle"):
            tallies.set_bundle(conn, tally, "Qm2")
        assert tallies.current_tally(conn, market, "proposal").bundle_cid == "Qm1"


@pytest.mark.parametrize("seed", range(4))
def test_a_ballot_is_counted_or_refused(
    api: Engine, ingest: Engine, pipelines: Engine, seed: int
) -> None:
    """Casters and a freeze race; what was accepted is exactly what is counted."""
    market = add_market(ingest, 1)
    dice = random.Random(seed)
    ballots = [ballot(market, wallet(n), dice.random() < 0.7) for n in range(1, 81)]
    threshold = dice.randint(1, 60)
    accepted: list[bytes] = []
    refused: list[bytes] = []
    enough, frozen_now = threading.Event(), threading.Event()

    def attempt(number: int) -> None:
        signed = ballots[number]
        if number >= 75:  # the last ones come too late for certain, the others race
            frozen_now.wait(20)
        try:
            with api.begin() as conn:
                cast(conn, signed, SETTINGS)
        except VotingClosed:
            refused.append(signed.wallet)
        else:
            accepted.append(signed.wallet)
        if len(accepted) >= threshold:
            enough.set()

    def freeze_when_enough() -> tallies.FrozenTally:
        enough.wait(20)
        try:
            return freeze(pipelines, market)
        finally:
            frozen_now.set()

    with ThreadPoolExecutor(9) as pool:
        freezing = pool.submit(freeze_when_enough)
        list(pool.map(attempt, range(len(ballots))))
        frozen = freezing.result(20)
    assert set(accepted) == {one.wallet for one in frozen.ballots}
    assert len(accepted) + len(refused) == len(ballots)
    assert len(refused) >= 5
    with pipelines.connect() as conn:
        rows = conn.execute(select(func.count()).select_from(voting.ballots)).scalar_one()
        assert tallies.find_mismatches(conn) == []
    assert rows == len(accepted) == frozen.tally.total


@pytest.mark.parametrize("seed", range(3))
def test_batches_race_freezes(api: Engine, ingest: Engine, pipelines: Engine, seed: int) -> None:
    """Batches over several markets race the freezes of these; no ballot of a frozen market is
    lost or added, and those of the markets beside it are still accepted.
    """
    markets = [add_market(ingest, number) for number in range(1, 5)]
    dice = random.Random(seed)
    ballots = [ballot(dice.choice(markets), wallet(n), dice.random() < 0.7) for n in range(1, 201)]
    batches = [ballots[start : start + 8] for start in range(0, len(ballots), 8)]
    accepted: dict[bytes, set[bytes]] = {market: set() for market in markets}
    frozen: dict[bytes, tallies.FrozenTally] = {}
    refused = 0
    going = threading.Semaphore(0)

    def attempt(batch: list[SignedBallot]) -> int:
        with api.begin() as conn:
            outcomes = cast_batch(conn, batch, SETTINGS)
        for signed, outcome in zip(batch, outcomes, strict=True):
            assert isinstance(outcome, CastReceipt | VotingClosed)
            if isinstance(outcome, CastReceipt):
                accepted[signed.market_id].add(signed.wallet)
        going.release()
        return sum(isinstance(outcome, VotingClosed) for outcome in outcomes)

    def freeze_one_after_another() -> None:
        for market in markets[:3]:
            for _ in range(5):
                going.acquire(timeout=20)
            frozen[market] = freeze(pipelines, market)

    with ThreadPoolExecutor(5) as pool:
        freezing = pool.submit(freeze_one_after_another)
        refused = sum(pool.map(attempt, batches))
        freezing.result(20)
    for market, tally in frozen.items():
        assert {one.wallet for one in tally.ballots} == accepted[market]
    assert sum(map(len, accepted.values())) + refused == len(ballots)
    assert len(accepted[markets[3]]) == sum(one.market_id == markets[3] for one in ballots)
    assert refused > 0
    with pipelines.connect() as conn:
        rows = conn.execute(select(func.count()).select_from(voting.ballots)).scalar_one()
        assert tallies.find_mismatches(conn) == []
    assert rows == sum(map(len, accepted.values()))
