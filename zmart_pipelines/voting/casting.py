"""Taking ballots: checked, stored, counted and announced, many in one transaction.

A transaction costs the same for one ballot as for a hundred, so ballots that come in
together are cast together. Each is judged by itself: one that is refused leaves the others
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from zmart_pipelines.client_schemas.frames import vote_frame
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import execute
from zmart_pipelines.voting import casting_statements as statements
from zmart_pipelines.voting import validation
from zmart_pipelines.voting.ballot import BallotRejected, Kind, SignedBallot
from zmart_pipelines.voting.cast_results import (
    BallotConflict,
    CastReceipt,
    CastResult,
    VotingClosed,
)
from zmart_pipelines.voting.validation import AdmittedBallot, CheckedBallot


class _Vote(NamedTuple):
    """A market's vote of one kind in one round. Ordered as its row is locked."""

    market_id: bytes
    kind: Kind
    round: int


def cast(
    conn: Connection, ballot: SignedBallot, settings: Settings, *, now: datetime | None = None
) -> CastReceipt:
    """Casts one ballot in the transaction of ``conn``, which the caller commits at once::

        with engine.begin() as conn:
            receipt = cast(conn, ballot, settings)

    The same signature, or the same idempotency key with the same market, kind and choice,
    gives the stored answer again. No error leaves anything behind.

    :param now: the time that expiries are compared with; default: this machine's clock.
    :raises BallotRejected: text, signature, expiry, round, market state or eligibility;
        names the field and the remedy. :class:`UnknownMarket` is one of them.
    :raises BallotConflict: the wallet voted already; holds the stored ballot.
    :raises VotingClosed: the tally is frozen.
    """
    (outcome,) = cast_batch(conn, [ballot], settings, now=now)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def cast_batch(
    conn: Connection,
    batch: Sequence[SignedBallot],
    settings: Settings,
    *,
    now: datetime | None = None,
    rejections: Mapping[bytes, BallotRejected] | None = None,
) -> list[CastResult]:
    """Casts ballots of different wallets in the transaction of ``conn``; the outcome of each,
    in their order. What :func:`cast` raises is an outcome here.

    Holds from its first write to the commit: the rows of the votes, so that a freeze comes
    before (and the ballot is refused) or after (and it is counted), and the stream's lock.

    :param rejections: why these wallets may not vote now; a repeat is answered all the same.
    :raises ValueError: when a wallet has two ballots in the batch: which of them counts
        would be an accident.
    """
    if len({ballot.wallet for ballot in batch}) < len(batch):
        raise ValueError("a batch holds one ballot of a wallet")
    outcomes: dict[int, CastResult] = {}
    checked: dict[int, CheckedBallot] = {}
    for number, ballot in enumerate(batch):
        try:
            checked[number] = validation.check_proof(ballot, settings, now or datetime.now(UTC))
        except BallotRejected as rejection:
            outcomes[number] = rejection
    looks = _look(conn, {number: one.ballot for number, one in checked.items()}, settings)
    admitted: dict[int, AdmittedBallot] = {}
    for number, rows in looks.items():
        one = checked[number]
        try:
            earlier = validation.find_repeat(one.ballot, rows)
            if earlier is not None:
                outcomes[number] = earlier
                continue
            admitted[number] = validation.admit(one, rows[0])
            if rejections and one.ballot.wallet in rejections:
                raise rejections[one.ballot.wallet]
        except (BallotRejected, BallotConflict, VotingClosed) as refusal:
            admitted.pop(number, None)
            outcomes[number] = refusal
    if admitted:
        outcomes |= _store(conn, admitted, looks, settings)
    return [outcomes[number] for number in range(len(batch))]


def _look(
    conn: Connection, ballots: Mapping[int, SignedBallot], settings: Settings
) -> dict[int, list[Row[Any]]]:
    """For each ballot one row per earlier ballot that it may repeat or contradict (one row of
    nulls where there is none), each with the market's state, the vote's round and its counts.
    """
    found: dict[int, list[Row[Any]]] = {number: [] for number in ballots}
    if not ballots:
        return found
    asked = list(ballots.values())
    rows = execute(
        conn,
        statements.SITUATION,
        list(ballots),
        [ballot.market_id for ballot in asked],
        [ballot.kind for ballot in asked],
        [ballot.wallet for ballot in asked],
        [ballot.signature for ballot in asked],
        [ballot.idempotency_key for ballot in asked],
        settings.dispute_weight_unit,
    )
    for row in rows:
        found[row.number].append(row)
    return found


def _store(
    conn: Connection,
    admitted: dict[int, AdmittedBallot],
    looks: Mapping[int, list[Row[Any]]],
    settings: Settings,
) -> dict[int, CastResult]:
    """Stores the ballots whose round is open; by their numbers what became of all."""
    running = _lock(conn, {_vote(one): looks[number][0] for number, one in admitted.items()})
    open_ones = {n: one for n, one in admitted.items() if _vote(one) in running}
    outcomes: dict[int, CastResult] = {
        number: VotingClosed(*_vote(one))
        for number, one in admitted.items()
        if number not in open_ones
    }
    if not open_ones:
        return outcomes
    numbers = {one.ballot.wallet: number for number, one in open_ones.items()}
    written: list[tuple[int, CastReceipt]] = []
    for row in _write(conn, list(open_ones.values())):
        number = numbers[row.wallet]
        one = open_ones.pop(number)
        stored = one.stored(row.id, row.accepted_at)
        counts = running[_vote(one)]
        counts[0 if stored.choice else 1] += stored.weight
        written.append((number, CastReceipt(stored, False, counts[0], counts[1])))
    outcomes |= _overtaken(conn, open_ones, settings)
    stream.append(conn, [_frame(stored) for _, stored in written])
    return outcomes | dict(written)


def _vote(one: AdmittedBallot) -> _Vote:
    return _Vote(one.ballot.market_id, one.ballot.kind, one.round)


def _frame(answer: CastReceipt) -> stream.Frame:
    stored = answer.ballot
    return vote_frame(
        market_id=stored.market_id,
        kind=stored.kind,
        round_=stored.round,
        wallet=stored.wallet,
        choice=stored.choice,
        signature=stored.signature,
        voted_at=stored.accepted_at,
        votes_for=answer.votes_for,
        votes_against=answer.votes_against,
        source="wallet",
    )


def _lock(conn: Connection, votes: dict[_Vote, Row[Any]]) -> dict[_Vote, list[int]]:
    """Keeps freezes away from these votes; of those that are open the counts for and against,
    votes on chain included.
    """
    fresh = sorted(vote for vote, row in votes.items() if row.fresh)
    if fresh:
        execute(
            conn,
            statements.OPEN_ROUNDS,
            [vote.market_id for vote in fresh],
            [vote.kind for vote in fresh],
            [vote.round for vote in fresh],
            [votes[vote].weight_unit for vote in fresh],
        )
    rows = execute(
        conn,
        statements.LOCK_ROUNDS,
        [vote.market_id for vote in votes],
        [vote.kind for vote in votes],
        [vote.round for vote in votes],
    )
    counts = {}
    for row in rows:
        vote = _Vote(row.market_id, row.kind, row.round)
        if row.status == "open":
            on_chain = votes[vote]
            counts[vote] = [
                row.votes_for + on_chain.chain_for,
                row.votes_against + on_chain.chain_against,
            ]
    return counts


def _write(conn: Connection, ballots: list[AdmittedBallot]) -> list[Row[Any]]:
    execute(conn, statements.SET_VOTERS, ",".join(one.ballot.wallet.hex() for one in ballots))
    return list(
        execute(
            conn,
            statements.INSERT_BALLOTS,
            [one.ballot.market_id for one in ballots],
            [one.ballot.kind for one in ballots],
            [one.round for one in ballots],
            [one.ballot.wallet for one in ballots],
            [one.ballot.choice for one in ballots],
            [one.weight for one in ballots],
            [one.proof.scheme for one in ballots],
            [one.ballot.message for one in ballots],
            [one.ballot.signature for one in ballots],
            [one.proof.nonce for one in ballots],
            [one.ballot.idempotency_key for one in ballots],
        )
    )


def _overtaken(
    conn: Connection, ballots: dict[int, AdmittedBallot], settings: Settings
) -> dict[int, CastResult]:
    """What another transaction, which stored a ballot of the same wallet, signature or key
    just now, makes of these.
    """
    outcomes: dict[int, CastResult] = {}
    looks = _look(conn, {number: one.ballot for number, one in ballots.items()}, settings)
    for number, rows in looks.items():
        one = ballots[number]
        try:
            outcomes[number] = validation.find_repeat(one.ballot, rows) or VotingClosed(*_vote(one))
        except (BallotRejected, BallotConflict) as refusal:
            outcomes[number] = refusal
    return outcomes
