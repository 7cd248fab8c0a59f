"""Disputes are for those who held shares when the market was disputed, by the ledger."""

from __future__ import annotations

import pytest
from solders.keypair import Keypair
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError

from tests.api import seed
from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, address
from tests.reference_model.account_frame import Cell
from tests.voting.world import ballot, wallet
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import VoteKind, VoteRecord
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import votes as queries
from zmart_pipelines.store.tables import market as tables
from zmart_pipelines.store.tables import voting
from zmart_pipelines.voting import tallies
from zmart_pipelines.voting.ballot import BallotRejected, SignedBallot
from zmart_pipelines.voting.cast_results import CastReceipt
from zmart_pipelines.voting.casting import cast

PLAIN = Settings()
WEIGHED = Settings(dispute_weight_unit=SOL)
MAX_VOTES = 2**32 - 1
MARKET = b"\xab" * 32
BIG, SMALL, TINY, STRANGER, LATE = (wallet(number) for number in range(1, 6))


@pytest.fixture
def recorded(ingest: Engine) -> tuple[Recorder, bytes]:
    """A disputed market of three holders, ingested; the recorder and the market."""
    chain = Recorder()
    chain.users = [one.pubkey() for one in (BIG, SMALL, TINY, STRANGER, LATE)]
    for user in chain.users:
        chain.model.cells[user] = Cell(10_000 * SOL)
    market = chain.create(1)
    chain.open(market)
    for buyer, outcome, cost in (
        (BIG, True, 20 * SOL),
        (BIG, False, 3 * SOL),
        (SMALL, False, 2 * SOL),
        (TINY, True, SOL // 1000),
    ):
        chain.buy(market, buyer.pubkey(), outcome, cost)
        chain.advance()
    chain.advance(seconds=60)
    chain.send(
        ix.resolve_market(
            PROGRAM,
            resolver=STRANGER.pubkey(),
            market=address(market),
            outcome=True,
            evidence_hash=b"Qm" + b"1" * 44,
        )
    )
    chain.advance()
    chain.send(ix.initiate_dispute(PROGRAM, initiator=STRANGER.pubkey(), market=address(market)))
    chain.advance()
    sync(ingest, chain)
    return chain, market


def sync(ingest: Engine, chain: Recorder) -> None:
    ingest_committed(
        ingest,
        chain.transactions,
        source=Source.FINALIZED_WINDOW,
        commitment="finalized",
        program=PROGRAM,
    )


def shares(chain: Recorder, market: bytes, holder: Keypair) -> int:
    position = chain.positions(market)[bytes(holder.pubkey())]
    return position.shares_yes + position.shares_no


def vote(api: Engine, signed: SignedBallot, settings: Settings = PLAIN) -> CastReceipt:
    with api.begin() as conn:
        return cast(conn, signed, settings)


def trade_since(ingest: Engine, market: bytes, holder: Keypair, bought: int) -> None:
    """Shares bought after the dispute, which the program would refuse, as rows."""
    with ingest.begin() as conn:
        slot = conn.execute(text("SELECT max(slot) FROM chain.events")).scalar_one() + 1
        conn.execute(
            text(
                "INSERT INTO market.trades SELECT sha512(:user), 0, market_id, :user, 'buy', true,"
                " :shares, 1, price_yes, traded_at, :slot, 0, commitment FROM market.trades LIMIT 1"
            ),
            {"user": bytes(holder.pubkey()), "shares": bought, "slot": slot},
        )
        conn.execute(
            text(
                "INSERT INTO market.positions VALUES (:market, :user, :shares, 0, 1, 1, 1, 1,"
                ' false, 0, :slot) ON CONFLICT (market_id, "user") DO UPDATE'
                " SET shares_yes = positions.shares_yes + excluded.shares_yes"
            ),
            {
                "market": market,
                "user": bytes(holder.pubkey()),
                "shares": bought,
                "slot": slot,
            },
        )


def test_only_holders_at_the_dispute_may_vote(
    api: Engine, ingest: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    _, market = recorded
    trade_since(ingest, market, LATE, 5 * SOL)
    with ingest.connect() as conn:
        held = conn.execute(
            select(tables.positions.c.shares_yes).where(
                tables.positions.c.user == bytes(LATE.pubkey())
            )
        ).scalar_one()
    assert held == 5 * SOL, "it holds shares today"
    for outsider in (STRANGER, LATE):
        with pytest.raises(BallotRejected, match="held no shares of this market when") as caught:
            vote(api, ballot(market, outsider, kind="dispute"))
        assert caught.value.field == "wallet"
    for number, holder in enumerate((BIG, SMALL, TINY), 1):
        stored = vote(api, ballot(market, holder, kind="dispute"))
        assert (stored.votes_for, stored.ballot.weight) == (number, 1), "heads"


def test_wallet_that_sold_its_shares_since_may_vote(
    api: Engine, ingest: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    chain, market = recorded
    trade_since(ingest, market, SMALL, -shares(chain, market, SMALL))
    assert vote(api, ballot(market, SMALL, kind="dispute")).votes_for == 1


def test_weights_are_the_holdings_at_the_dispute(
    api: Engine, ingest: Engine, pipelines: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    chain, market = recorded
    big, small, tiny = (shares(chain, market, one) for one in (BIG, SMALL, TINY))
    assert tiny < SOL < small < big
    trade_since(ingest, market, BIG, 1000 * SOL)
    first = vote(api, ballot(market, BIG, True, kind="dispute"), WEIGHED)
    assert first.ballot.weight == big // SOL > 1
    # The rule of the vote stays what it was when it began.
    second = vote(api, ballot(market, TINY, False, kind="dispute"), PLAIN)
    assert (second.ballot.weight, second.votes_for, second.votes_against) == (1, big // SOL, 1)
    # A vote on chain weighs the same way, before the freeze and at it.
    chain.send(
        ix.submit_dispute_vote(PROGRAM, user=SMALL.pubkey(), market=address(market), vote=False)
    )
    sync(ingest, chain)
    expected = (big // SOL, 1 + small // SOL, 3)
    record = VoteRecord(
        market=bytes(address(market)),
        user=bytes(SMALL.pubkey()),
        vote_type=VoteKind.DISPUTE,
        vote=False,
        voted_at=chain.now,
        bump=1,
    )
    with pipelines.begin() as conn:
        tally = tallies.current_tally(conn, market, "dispute")
        assert (tally.votes_for, tally.votes_against, tally.ballots) == expected
        counts = queries.counts(conn, market, "dispute")
        assert (counts.votes_for, counts.votes_against) == expected[:2]
        assert tallies.recount_tally(conn, market, "dispute", 0) == tally
        assert tallies.find_mismatches(conn) == []
        frozen = tallies.freeze(
            conn, market, "dispute", 0, slot=9, chain_time=9, chain_votes=[record]
        )
        assert tallies.find_mismatches(conn) == []
    found = frozen.tally
    assert (found.votes_for, found.votes_against, found.ballots) == expected
    assert found.weight_unit == SOL
    weights = {one.wallet: one.weight for one in frozen.ballots}
    assert weights == {
        bytes(BIG.pubkey()): big // SOL,
        bytes(SMALL.pubkey()): small // SOL,
        bytes(TINY.pubkey()): 1,
    }
    with pipelines.begin() as conn:
        assert tallies.reopen(conn, market, "dispute", 1) == 1
        assert tallies.current_tally(conn, market, "dispute").weight_unit == SOL
        last = [frame.payload for frame in stream.read_after(conn, 0) if frame.type == "vote"]
    assert (last[-2]["votes_for"], last[-2]["votes_against"]) == (big // SOL, 1)


def test_vote_begins_with_a_unit_with_which_all_votes_fit_a_u32(
    api: Engine, ingest: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    chain, market = recorded
    smallest = Settings(dispute_weight_unit=1)
    held = [shares(chain, market, one) for one in (BIG, SMALL, TINY)]
    assert sum(held) > 2**32
    first = vote(api, ballot(market, TINY, kind="dispute"), smallest)
    with api.connect() as conn:
        unit = conn.execute(select(voting.tallies.c.weight_unit)).scalar_one()
    room = MAX_VOTES - 3
    assert unit == -(-sum(held) // room), "the smallest that fits whoever votes"
    assert first.ballot.weight == held[2] // unit
    vote(api, ballot(market, SMALL, kind="dispute"), smallest)
    last = vote(api, ballot(market, BIG, kind="dispute"), smallest)
    assert last.votes_for == sum(one // unit for one in held) <= MAX_VOTES


def test_freeze_of_a_vote_without_ballots_takes_a_unit_that_fits(
    pipelines: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    _, market = recorded
    with pipelines.begin() as conn:
        frozen = tallies.freeze(
            conn, market, "dispute", 0, slot=9, chain_time=9, chain_votes=[], unit=1
        )
    assert (frozen.tally.weight_unit or 0) > 1


def test_database_refuses_a_unit_with_which_votes_may_not_fit(
    pipelines: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    _, market = recorded
    opened = text(
        "INSERT INTO voting.tallies (market_id, kind, round, weight_unit)"
        " VALUES (:market, 'dispute', 0, :unit)"
    )
    with pipelines.connect() as conn:
        unit = conn.execute(
            text("SELECT voting.fitting_weight_unit(:market, 1)"), {"market": market}
        ).scalar_one()
        with pytest.raises(IntegrityError, match="would not fit a u32"):
            conn.execute(opened, {"market": market, "unit": unit - 1})
        conn.rollback()
        conn.execute(opened, {"market": market, "unit": unit})


def test_smallest_unit_that_fits(ingest: Engine) -> None:
    holdings: tuple[list[int], ...] = (
        [],
        [0],
        [2**32 - 2],
        [2**32 - 1],
        [2**64 - 1] * 3,
        [1] * 50 + [2**33],
        [2**33 - 3, 1],
    )
    for held in holdings:
        with ingest.connect() as conn:
            seed.market(conn, MARKET, state=4)
            for number, amount in enumerate(held):
                conn.execute(
                    text(
                        "INSERT INTO market.positions VALUES (:market, :user, :shares, 0, 1, 1, 1,"
                        " 1, false, 0, 1)"
                    ),
                    {"market": MARKET, "user": number.to_bytes(32), "shares": amount},
                )
            for asked in (None, 1, 7, SOL):
                unit = conn.execute(
                    text("SELECT voting.fitting_weight_unit(:market, :asked)"),
                    {"market": MARKET, "asked": asked},
                ).scalar_one()
                if asked is None:
                    assert unit is None
                    continue
                assert unit >= asked
                assert sum(max(1, one // unit) for one in held) <= MAX_VOTES
                if unit > asked:
                    assert sum(held) > (unit - 1) * (MAX_VOTES - len(held)), "it is the smallest"


def test_proposals_are_never_weighed(
    api: Engine, ingest: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    chain, _ = recorded
    market = chain.create(2)
    sync(ingest, chain)
    assert vote(api, ballot(market, BIG), WEIGHED).ballot.weight == 1
    with api.connect() as conn:
        units = conn.execute(select(voting.tallies.c.weight_unit)).scalars().all()
    assert units == [None]


def test_vote_on_chain_ingested_before_the_ballot_excludes_it(
    api: Engine, ingest: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    chain, market = recorded
    chain.send(
        ix.submit_dispute_vote(PROGRAM, user=SMALL.pubkey(), market=address(market), vote=True)
    )
    sync(ingest, chain)
    for choice in (True, False):
        with pytest.raises(BallotRejected, match="has already voted on chain; that vote counts"):
            vote(api, ballot(market, SMALL, choice, kind="dispute"))
    with api.connect() as conn:
        tally = tallies.current_tally(conn, market, "dispute")
    assert (tally.votes_for, tally.votes_against, tally.ballots) == (1, 0, 1)


def test_vote_on_chain_ingested_after_the_ballot_replaces_it(
    api: Engine, ingest: Engine, pipelines: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    """The ballot stays on record, and the chain's record counts, in tally, list and freeze."""
    chain, market = recorded
    vote(api, ballot(market, SMALL, True, kind="dispute"))
    vote(api, ballot(market, BIG, True, kind="dispute"))
    cast_on_chain = ix.submit_dispute_vote(
        PROGRAM, user=SMALL.pubkey(), market=address(market), vote=False
    )
    chain.send(cast_on_chain)
    record = VoteRecord(
        market=bytes(address(market)),
        user=bytes(SMALL.pubkey()),
        vote_type=VoteKind.DISPUTE,
        vote=False,
        voted_at=chain.now,
        bump=1,
    )
    with pipelines.connect() as conn:
        tally = tallies.current_tally(conn, market, "dispute")
        assert (tally.votes_for, tally.votes_against, tally.ballots) == (2, 0, 2), (
            "not ingested yet"
        )
        # A freeze reads the accounts, so it knows before the ledger does.
        frozen = tallies.freeze(
            conn, market, "dispute", 0, slot=9, chain_time=9, chain_votes=[record]
        )
        assert (frozen.tally.votes_for, frozen.tally.votes_against) == (1, 1)
        conn.rollback()
    sync(ingest, chain)
    with pipelines.begin() as conn:
        tally = tallies.current_tally(conn, market, "dispute")
        assert (tally.votes_for, tally.votes_against, tally.ballots) == (1, 1, 2)
        listed = queries.votes_of_market(conn, market, kind="dispute")
        assert {(one.wallet, one.source, one.choice) for one in listed} == {
            (bytes(SMALL.pubkey()), "chain", False),
            (bytes(BIG.pubkey()), "wallet", True),
        }
        frozen = tallies.freeze(
            conn, market, "dispute", 0, slot=9, chain_time=9, chain_votes=[record]
        )
        assert (frozen.tally.votes_for, frozen.tally.votes_against) == (1, 1)
        assert {one.wallet: one.source for one in frozen.ballots} == {
            bytes(SMALL.pubkey()): "chain",
            bytes(BIG.pubkey()): "wallet",
        }
        assert tallies.find_mismatches(conn) == []


def test_a_stranger_s_vote_on_chain_counts_nowhere(
    api: Engine, ingest: Engine, recorded: tuple[Recorder, bytes]
) -> None:
    chain, market = recorded
    chain.send(
        ix.submit_dispute_vote(PROGRAM, user=STRANGER.pubkey(), market=address(market), vote=True)
    )
    sync(ingest, chain)
    with api.connect() as conn:
        assert tallies.current_tally(conn, market, "dispute").ballots == 0
        assert queries.votes_of_market(conn, market, kind="dispute") == []
        assert queries.counts(conn, market, "dispute").total == 0
