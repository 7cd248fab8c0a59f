"""Casting ballots: they are validated, stored, counted and announced, many in one transaction.

A transaction costs the same for one ballot as for a hundred, so ballots that arrive together are
cast together. Each is validated by itself: a rejected ballot does not affect the others.
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
from zmart_pipelines.voting.ballot import BallotRejected, Kind, SignatureUsed, SignedBallot
from zmart_pipelines.voting.cast_results import (
    BallotConflict,
    CastReceipt,
    CastResult,
    VotingClosed,
)
from zmart_pipelines.voting.validation import AdmittedBallot, CheckedBallot


class _Vote(NamedTuple):
    """A market's vote of one kind in one round. Rows are locked in the order of these."""

    market_id: bytes
    kind: Kind
    round: int


def cast(
    conn: Connection, ballot: SignedBallot, settings: Settings, *, now: datetime | None = None
) -> CastReceipt:
    """Cast one ballot in the transaction of ``conn``, which the caller commits at once::

        with engine.begin() as conn:
            receipt = cast(conn, ballot, settings)

    The same signature, or the same idempotency key with the same market, kind and choice,
    returns the stored answer again. A ballot that is not accepted writes nothing.

    Args:
        conn: The transaction.
        ballot: The ballot.
        settings: Program, network, ballot rules.
        now: The time that expiries are compared with; default: this machine's clock.

    Raises:
        BallotRejected: Text, signature, expiry, round, market state or eligibility; it names the
            field and the remedy. :class:`UnknownMarket` is one of them.
        BallotConflict: The wallet has already voted; it holds the stored ballot.
        VotingClosed: The tally is frozen.
    """
    (result,) = cast_batch(conn, [ballot], settings, now=now)
    if isinstance(result, Exception):
        raise result
    return result


def cast_batch(
    conn: Connection,
    batch: Sequence[SignedBallot],
    settings: Settings,
    *,
    now: datetime | None = None,
    rejections: Mapping[bytes, BallotRejected] | None = None,
) -> list[CastResult]:
    """Cast ballots of different wallets in one transaction; return their results in order.

    What :func:`cast` raises is returned as a result here. Locks are held from the first write to
    the commit: the rows of the votes, so that a freeze comes before (the ballot is refused) or
    after (it is counted), and the stream's lock.

    Args:
        conn: The transaction.
        batch: The ballots.
        settings: Program, network, ballot rules.
        now: The time that expiries are compared with; default: this machine's clock.
        rejections: Why these wallets may not vote now. A repeated ballot still gets its stored
            answer.

    Raises:
        ValueError: The batch has two ballots of one wallet: which of them counts would depend on
            chance.
    """
    if len({ballot.wallet for ballot in batch}) < len(batch):
        raise ValueError("a batch must not contain two ballots of one wallet")
    results: dict[int, CastResult] = {}
    checked: dict[int, CheckedBallot] = {}
    for number, ballot in enumerate(batch):
        try:
            checked[number] = validation.check_proof(ballot, settings, now or datetime.now(UTC))
        except BallotRejected as rejection:
            results[number] = rejection
    situations = _read_situations(
        conn, {number: entry.ballot for number, entry in checked.items()}, settings
    )
    admitted: dict[int, AdmittedBallot] = {}
    for number, rows in situations.items():
        entry = checked[number]
        try:
            repeat = validation.find_repeat(entry, rows)
            if repeat is not None:
                results[number] = repeat
                continue
            admitted[number] = validation.admit(entry, rows[0])
            if rejections and entry.ballot.wallet in rejections:
                raise rejections[entry.ballot.wallet]
        except (BallotRejected, BallotConflict, VotingClosed) as refusal:
            admitted.pop(number, None)
            results[number] = refusal
    if admitted:
        results |= _store(conn, admitted, situations, settings)
    return [results[number] for number in range(len(batch))]


def _read_situations(
    conn: Connection, ballots: Mapping[int, SignedBallot], settings: Settings
) -> dict[int, list[Row[Any]]]:
    """Return for each ballot the rows that it is validated by.

    There is one row per earlier ballot that it may repeat or conflict with (one row of nulls where
    there is none), each with the market's state, the vote's round and its counts.
    """
    situations: dict[int, list[Row[Any]]] = {number: [] for number in ballots}
    if not ballots:
        return situations
    requested = list(ballots.values())
    rows = execute(
        conn,
        statements.SITUATION,
        list(ballots),
        [ballot.market_id for ballot in requested],
        [ballot.kind for ballot in requested],
        [ballot.wallet for ballot in requested],
        [ballot.signature for ballot in requested],
        [ballot.idempotency_key for ballot in requested],
        settings.dispute_weight_unit,
    )
    for row in rows:
        situations[row.number].append(row)
    return situations


def _store(
    conn: Connection,
    admitted: dict[int, AdmittedBallot],
    situations: Mapping[int, list[Row[Any]]],
    settings: Settings,
) -> dict[int, CastResult]:
    """Store the ballots whose round is open; return the results of all by their numbers."""
    open_counts = _lock_rounds(
        conn, {_vote(entry): situations[number][0] for number, entry in admitted.items()}
    )
    open_ballots = {n: entry for n, entry in admitted.items() if _vote(entry) in open_counts}
    results: dict[int, CastResult] = {
        number: VotingClosed(*_vote(entry))
        for number, entry in admitted.items()
        if number not in open_ballots
    }
    if not open_ballots:
        return results
    numbers = {entry.ballot.wallet: number for number, entry in open_ballots.items()}
    written: list[tuple[int, CastReceipt]] = []
    for row in _insert(conn, list(open_ballots.values())):
        number = numbers[row.wallet]
        entry = open_ballots.pop(number)
        stored = entry.stored(row.id, row.accepted_at)
        counts = open_counts[_vote(entry)]
        counts[0 if stored.choice else 1] += stored.weight
        written.append((number, CastReceipt(stored, False, counts[0], counts[1])))
    results |= _concurrent_results(conn, open_ballots, settings)
    stream.append(conn, [_frame(stored) for _, stored in written])
    return results | dict(written)


def _vote(entry: AdmittedBallot) -> _Vote:
    return _Vote(entry.ballot.market_id, entry.ballot.kind, entry.round)


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


def _lock_rounds(conn: Connection, votes: dict[_Vote, Row[Any]]) -> dict[_Vote, list[int]]:
    """Lock these votes against freezes; return the counts for and against of the open ones.

    The counts include votes on chain.
    """
    unopened = sorted(vote for vote, row in votes.items() if row.unopened)
    if unopened:
        execute(
            conn,
            statements.OPEN_ROUNDS,
            [vote.market_id for vote in unopened],
            [vote.kind for vote in unopened],
            [vote.round for vote in unopened],
            [votes[vote].weight_unit for vote in unopened],
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


def _insert(conn: Connection, ballots: list[AdmittedBallot]) -> list[Row[Any]]:
    execute(conn, statements.SET_VOTERS, ",".join(entry.ballot.wallet.hex() for entry in ballots))
    return list(
        execute(
            conn,
            statements.INSERT_BALLOTS,
            [entry.ballot.market_id for entry in ballots],
            [entry.ballot.kind for entry in ballots],
            [entry.round for entry in ballots],
            [entry.ballot.wallet for entry in ballots],
            [entry.ballot.choice for entry in ballots],
            [entry.weight for entry in ballots],
            [entry.proof.scheme for entry in ballots],
            [entry.ballot.message for entry in ballots],
            [entry.ballot.signature for entry in ballots],
            [entry.proof.nonce for entry in ballots],
            [entry.ballot.idempotency_key for entry in ballots],
        )
    )


def _concurrent_results(
    conn: Connection, ballots: dict[int, AdmittedBallot], settings: Settings
) -> dict[int, CastResult]:
    """Return the results of ballots that were not stored.

    A concurrent transaction has just stored a ballot of the same wallet, signature or idempotency
    key, or the signature of a sign-in text has served another request.
    """
    results: dict[int, CastResult] = {}
    situations = _read_situations(
        conn, {number: entry.ballot for number, entry in ballots.items()}, settings
    )
    for number, rows in situations.items():
        entry = ballots[number]
        try:
            checked = CheckedBallot(entry.ballot, entry.proof)
            results[number] = validation.find_repeat(checked, rows) or SignatureUsed(
                "signature", "was already used for another request; sign a new one"
            )
        except (BallotRejected, BallotConflict) as refusal:
            results[number] = refusal
    return results
