"""Ballots on a real Postgres, with the API's rights."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import Engine, Row, func, insert, select, text

from tests.voting.world import (
    SETTINGS,
    add_chain_vote,
    add_market,
    add_position,
    ballot,
    market_id,
    wallet,
)
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import act_as
from zmart_pipelines.store.tables import community, voting
from zmart_pipelines.store.tables.community import signed_requests
from zmart_pipelines.voting import casting, tallies, validation
from zmart_pipelines.voting.ballot import BallotRejected, OlderBallot, SignedBallot
from zmart_pipelines.voting.cast_results import (
    BallotConflict,
    CastReceipt,
    UnknownMarket,
    VotingClosed,
)
from zmart_pipelines.voting.casting import cast


def vote(api: Engine, signed: SignedBallot, settings: Settings = SETTINGS) -> CastReceipt:
    with api.begin() as conn:
        return cast(conn, signed, settings)


def count(engine: Engine) -> int:
    with engine.connect() as conn:
        return conn.execute(select(func.count()).select_from(voting.ballots)).scalar_one()


def close(engine: Engine, market: bytes, kind: str = "proposal", round_number: int = 0) -> None:
    with engine.begin() as conn:
        tallies.freeze(conn, market, kind, round_number, slot=9, chain_time=99, chain_votes=[])  # type: ignore[arg-type]


def test_a_ballot_is_stored_counted_and_announced(api: Engine, ingest: Engine) -> None:
    market = add_market(ingest, 1)
    first = vote(api, ballot(market, wallet(1), True))
    second = vote(api, ballot(market, wallet(2), False))
    assert not first.repeated
    assert (first.votes_for, first.votes_against) == (1, 0)
    assert (second.votes_for, second.votes_against) == (1, 1)
    with api.connect() as conn:
        frames = stream.read_after(conn, 0)
        users = conn.execute(select(community.users.c.wallet)).scalars().all()
    assert [frame.payload["user"] for frame in frames] == [
        str(wallet(number).pubkey()) for number in (1, 2)
    ]
    assert frames[1].payload["votes_against"] == 1
    assert set(users) == {bytes(wallet(1).pubkey()), bytes(wallet(2).pubkey())}


def test_a_repeat_gets_the_stored_answer(api: Engine, ingest: Engine) -> None:
    market = add_market(ingest, 1)
    signed = ballot(market, wallet(1), key="k")
    first = vote(api, signed)
    again = vote(api, signed)
    assert again.repeated
    assert again.ballot == first.ballot
    with api.connect() as conn:
        assert stream.head(conn) == 1
    # The same key with a new signature is the same request.
    assert vote(api, ballot(market, wallet(1), key="k")).ballot == first.ballot
    assert count(api) == 1


def test_a_repeat_is_answered_after_expiry_and_after_the_freeze(
    api: Engine, ingest: Engine, pipelines: Engine
) -> None:
    market = add_market(ingest, 1)
    signed = ballot(market, wallet(1))
    first = vote(api, signed)
    close(pipelines, market)
    assert vote(api, signed).ballot == first.ballot
    with pytest.raises(VotingClosed):
        vote(api, ballot(market, wallet(2)))
    assert count(api) == 1


@pytest.mark.parametrize("choice", [True, False])
def test_a_second_ballot_conflicts_with_the_stored_one(
    api: Engine, ingest: Engine, choice: bool
) -> None:
    market = add_market(ingest, 1)
    first = vote(api, ballot(market, wallet(1), True, key="a"))
    for key in (None, "b"):
        with pytest.raises(BallotConflict) as caught:
            vote(api, ballot(market, wallet(1), choice, key=key))
        assert caught.value.stored == first.ballot
    with pytest.raises(BallotConflict):  # the key of another choice is no repeat
        vote(api, ballot(market, wallet(1), False, key="a"))


def test_key_or_signature_is_valid_for_one_vote(api: Engine, ingest: Engine) -> None:
    one, two = add_market(ingest, 1), add_market(ingest, 2)
    vote(api, ballot(one, wallet(1), key="k"))
    with pytest.raises(BallotRejected) as caught:
        vote(api, ballot(two, wallet(1), key="k"))
    assert caught.value.field == "idempotency_key"
    assert vote(api, ballot(two, wallet(2), key="k")).votes_for == 1


def older_ballot(market: bytes, voter: Keypair) -> SignedBallot:
    """A ballot signed with a sign-in text."""
    message = f"Sign in to ZMART\nTimestamp: {int(time.time() * 1000)}"
    return SignedBallot(
        market_id=market,
        kind="proposal",
        wallet=bytes(voter.pubkey()),
        choice=True,
        message=message,
        signature=bytes(voter.sign_message(message.encode())),
    )


def test_sign_in_text_is_good_for_one_ballot_where_it_is_accepted(
    api: Engine, ingest: Engine
) -> None:
    one, two = add_market(ingest, 1), add_market(ingest, 2)
    accepting = SETTINGS.model_copy(update={"accept_older_ballots": True})
    older = older_ballot(one, wallet(3))
    with pytest.raises(OlderBallot, match="sign the text of this vote"):
        vote(api, older)
    assert vote(api, older, accepting).ballot.scheme == "login-header"
    assert vote(api, older, accepting).repeated
    for other in ({"market_id": two}, {"choice": False}):
        with pytest.raises(BallotRejected) as caught:
            vote(api, msgspec.structs.replace(older, **other), accepting)
        assert caught.value.field == "signature"


def test_sign_in_text_that_served_another_request_is_no_ballot(api: Engine, ingest: Engine) -> None:
    market = add_market(ingest, 1)
    accepting = SETTINGS.model_copy(update={"accept_older_ballots": True})
    older = older_ballot(market, wallet(3))
    with api.begin() as conn:
        act_as(conn, older.wallet)
        conn.execute(
            insert(signed_requests).values(
                signature=older.signature,
                wallet=older.wallet,
                action="comment",
                digest=bytes(32),
            )
        )
    with pytest.raises(BallotRejected) as caught:
        vote(api, older, accepting)
    assert (caught.value.field, count(api)) == ("signature", 0)
    # A ballot of the vote's own text is not affected.
    assert vote(api, ballot(market, wallet(3)), accepting).votes_for == 1


def test_stored_ballot_is_shown_only_for_a_valid_proof(api: Engine, ingest: Engine) -> None:
    """A forged signature, or a published one of another vote, gets nothing that is stored."""
    one, two = add_market(ingest, 1), add_market(ingest, 2)
    vote(api, ballot(one, wallet(1), key="k"))
    published = ballot(two, wallet(1))
    vote(api, published)
    forged = msgspec.structs.replace(ballot(one, wallet(1), key="k"), signature=bytes(64))
    moved = msgspec.structs.replace(published, market_id=one, idempotency_key="k")
    expired = ballot(one, wallet(1), key="k", seconds=0)
    for tried, field in ((forged, "signature"), (moved, "signature"), (expired, "message")):
        with pytest.raises(BallotRejected) as caught:
            vote(api, tried)
        assert caught.value.field == field


def test_unknown_market_and_wrong_state(api: Engine, ingest: Engine) -> None:
    with pytest.raises(UnknownMarket):
        vote(api, ballot(market_id(404), wallet(1)))
    active = add_market(ingest, 1, MarketState.ACTIVE)
    with pytest.raises(BallotRejected, match="ACTIVE; proposal ballots are accepted while it is P"):
        vote(api, ballot(active, wallet(1)))
    with pytest.raises(BallotRejected, match="dispute ballots are accepted while it is DISPUTED"):
        vote(api, ballot(active, wallet(1), kind="dispute"))
    assert count(api) == 0


def test_disputes_are_for_holders(api: Engine, ingest: Engine) -> None:
    market = add_market(ingest, 1, MarketState.DISPUTED)
    add_position(ingest, market, wallet(1))
    add_position(ingest, market, wallet(2), shares=0)
    assert vote(api, ballot(market, wallet(1), kind="dispute")).votes_for == 1
    for outsider in (wallet(2), wallet(3)):
        with pytest.raises(BallotRejected, match="held no shares"):
            vote(api, ballot(market, outsider, kind="dispute"))


def test_the_chain_record_wins(api: Engine, ingest: Engine) -> None:
    market = add_market(ingest, 1)
    add_chain_vote(ingest, market, "proposal", wallet(1), True)
    with pytest.raises(BallotRejected, match="has already voted on chain"):
        vote(api, ballot(market, wallet(1), False))
    assert vote(api, ballot(market, wallet(2), False)).votes_for == 1
    add_chain_vote(ingest, market, "proposal", wallet(2), True)
    third = vote(api, ballot(market, wallet(3), True))
    assert (third.votes_for, third.votes_against) == (3, 0)
    with api.connect() as conn:
        tally = tallies.current_tally(conn, market, "proposal")
        assert (tally.votes_for, tally.votes_against) == (3, 0)
        assert tallies.find_mismatches(conn) == []


def test_round_expiry_and_key_are_checked(api: Engine, ingest: Engine) -> None:
    market = add_market(ingest, 1)
    with pytest.raises(BallotRejected, match="names round 1, but the vote is in round 0"):
        vote(api, ballot(market, wallet(1), round_number=1))
    with pytest.raises(BallotRejected, match="has expired"):
        vote(api, ballot(market, wallet(1), seconds=0))
    with pytest.raises(BallotRejected, match="s ahead"):
        vote(api, ballot(market, wallet(1), seconds=700))
    for key in ("", "x" * 256, "a\nb"):
        with pytest.raises(BallotRejected) as caught:
            vote(api, ballot(market, wallet(1), key=key))
        assert caught.value.field == "idempotency_key"


def test_nothing_stays_of_a_ballot_that_came_too_late(
    api: Engine, ingest: Engine, pipelines: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The freeze lands between the read of the vote and the write of the ballot."""
    market = add_market(ingest, 1)
    real = validation.admit

    def admit(checked: validation.CheckedBallot, now: Row[Any]) -> validation.AdmittedBallot:
        admitted = real(checked, now)
        close(pipelines, market)
        return admitted

    monkeypatch.setattr(validation, "admit", admit)
    with api.connect() as conn:
        with pytest.raises(VotingClosed):
            cast(conn, ballot(market, wallet(1)), SETTINGS)
        conn.commit()  # a caller that forgets to roll back
    assert count(api) == 0


def test_each_ballot_of_a_batch_is_validated_by_itself(
    api: Engine, ingest: Engine, pipelines: Engine
) -> None:
    one, two, frozen = (add_market(ingest, number) for number in (1, 2, 3))
    active = add_market(ingest, 4, MarketState.ACTIVE)
    stored = vote(api, ballot(one, wallet(1), key="k"))
    repeated = ballot(one, wallet(2))
    vote(api, repeated)
    vote(api, ballot(frozen, wallet(3)))
    close(pipelines, frozen)
    batch = [
        ballot(one, wallet(4)),
        ballot(one, wallet(1), False),
        repeated,
        ballot(two, wallet(5), False),
        ballot(frozen, wallet(6)),
        ballot(active, wallet(7)),
        ballot(market_id(404), wallet(8)),
        msgspec.structs.replace(ballot(two, wallet(9)), signature=bytes(64)),
        msgspec.structs.replace(ballot(two, wallet(10)), idempotency_key="a\nb"),
        ballot(two, wallet(11)),
    ]
    with api.begin() as conn:
        outcomes = casting.cast_batch(conn, batch, SETTINGS)
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == [
        *(
            "CastReceipt",
            "BallotConflict",
            "CastReceipt",
            "CastReceipt",
            "VotingClosed",
            "BallotRejected",
        ),
        *("UnknownMarket", "BallotRejected", "BallotRejected", "CastReceipt"),
    ]
    fresh = [outcomes[number] for number in (0, 3, 9)]
    counts = {
        outcome.ballot.wallet: (outcome.votes_for, outcome.votes_against)
        for outcome in fresh
        if isinstance(outcome, CastReceipt) and not outcome.repeated
    }
    assert counts[batch[0].wallet] == (3, 0)
    # In the order in which they were stored, which is that of the wallets.
    second = sorted((batch[3].wallet, batch[9].wallet))
    assert counts[batch[3].wallet] == ((0, 1) if second[0] == batch[3].wallet else (1, 1))
    assert isinstance(outcomes[1], BallotConflict)
    assert outcomes[1].stored == stored.ballot
    assert isinstance(outcomes[2], CastReceipt)
    assert outcomes[2].repeated
    with api.connect() as conn:
        voters = {frame.payload["user"] for frame in stream.read_after(conn, 3)}
        assert tallies.find_mismatches(conn) == []
    assert voters == {str(Pubkey(owner)) for owner in counts}
    with pytest.raises(ValueError, match="two ballots of one wallet"), api.begin() as conn:
        casting.cast_batch(conn, [ballot(one, wallet(20)), ballot(two, wallet(20))], SETTINGS)


def test_batches_that_share_markets_and_wallets_do_not_block_each_other(
    api: Engine, ingest: Engine
) -> None:
    """Many batches at once, each with the same wallets in markets in another order."""
    markets = [add_market(ingest, number) for number in range(1, 9)]
    voters = [wallet(number) for number in range(1, 13)]

    def attempt(number: int) -> int:
        dice = random.Random(number)
        chosen = dice.sample(voters, 8)
        batch = [ballot(dice.choice(markets), one, key=str(dice.randrange(3))) for one in chosen]
        with api.begin() as conn:
            outcomes = casting.cast_batch(conn, batch, SETTINGS)
        return sum(isinstance(one, CastReceipt) and not one.repeated for one in outcomes)

    with ThreadPoolExecutor(6) as pool:
        stored = sum(pool.map(attempt, range(40)))
    assert stored == count(api) > 20
    with api.connect() as conn:
        assert tallies.find_mismatches(conn) == []


def test_concurrent_ballots_of_one_wallet_count_once(api: Engine, ingest: Engine) -> None:
    market = add_market(ingest, 1)

    def attempt(number: int) -> str:
        try:
            vote(api, ballot(market, wallet(1), number % 2 == 0))
        except BallotConflict:
            return "conflict"
        return "stored"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(24)))
    assert sorted(set(results)) == ["conflict", "stored"]
    assert results.count("stored") == 1
    assert count(api) == 1


def test_ballots_cannot_be_changed_or_written_for_others(api: Engine, ingest: Engine) -> None:
    market = add_market(ingest, 1)
    vote(api, ballot(market, wallet(1)))
    for statement in ("UPDATE voting.ballots SET choice = false", "DELETE FROM voting.ballots"):
        with pytest.raises(Exception, match=r"permission denied|append-only"), api.begin() as conn:
            conn.execute(text(statement))
    with pytest.raises(Exception, match="row-level security"), api.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO voting.ballots (market_id, kind, wallet, choice, scheme, message,"
                " signature, nonce) SELECT market_id, 'dispute', wallet, choice, scheme, message,"
                " decode(repeat('00', 64), 'hex'), nonce FROM voting.ballots"
            )
        )
