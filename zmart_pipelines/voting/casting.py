"""Taking ballots: checked, stored, counted and announced, many in one transaction.

A transaction costs the same for one ballot as for a hundred, so ballots that come in
together are cast together. Each is judged by itself: one that is refused leaves the others
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, Row

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import frames, stream
from zmart_pipelines.store.engine import execute
from zmart_pipelines.voting import casting_statements as statements
from zmart_pipelines.voting.ballot import BallotRejected, Kind, Proof, SignedBallot, check

__all__ = [
    "BallotConflict",
    "BallotRejected",
    "Checked",
    "Outcome",
    "Stored",
    "StoredBallot",
    "UnknownMarket",
    "VotingClosed",
    "cast",
    "cast_all",
    "examine",
]

MAX_IDEMPOTENCY_KEY = 255

# The state of the market in which each kind of ballot is taken.
VOTING_STATE: dict[Kind, MarketState] = {
    "proposal": MarketState.PROPOSED,
    "dispute": MarketState.DISPUTED,
}


class StoredBallot(msgspec.Struct, frozen=True):
    """A ballot as the table holds it, proof included. ``weight`` is what it counts."""

    id: int
    market_id: bytes
    kind: Kind
    round: int
    wallet: bytes
    choice: bool
    weight: int
    scheme: str
    message: str
    signature: bytes
    nonce: str
    idempotency_key: str | None
    accepted_at: datetime


class Stored(msgspec.Struct, frozen=True):
    """The answer to a ballot.

    ``repeated``: it was stored before, nothing was written now. ``votes_for`` and
    ``votes_against`` are the tally of the ballot's round now, on-chain votes included.
    ``positions`` are the stream's new positions, to be announced after the commit.
    """

    ballot: StoredBallot
    repeated: bool
    votes_for: int
    votes_against: int
    positions: tuple[int, ...] = ()


class UnknownMarket(BallotRejected):
    """No market has this id, as far as the ledger has been read."""


class BallotConflict(Exception):
    """The wallet has another ballot in this market, kind and round: ``stored``."""

    def __init__(self, stored: StoredBallot) -> None:
        super().__init__("this wallet has already voted in this market")
        self.stored = stored


class VotingClosed(Exception):
    """The tally of this market, kind and round is frozen; no ballot is accepted any more."""

    def __init__(self, market_id: bytes, kind: Kind, round_number: int) -> None:
        super().__init__(f"the {kind} vote of market {market_id.hex()} is closed")
        self.market_id = market_id
        self.kind = kind
        self.round = round_number


Refusal: TypeAlias = BallotRejected | BallotConflict | VotingClosed
Outcome: TypeAlias = Stored | Refusal


class Checked(msgspec.Struct, frozen=True):
    """A ballot, and what its proof gives or why it is refused – unless it is a repeat, which
    gets the stored answer whatever has become of its proof.
    """

    ballot: SignedBallot
    proof: Proof | BallotRejected


class _Admitted(NamedTuple):
    """A ballot to be stored."""

    ballot: SignedBallot
    proof: Proof
    round: int
    weight: int


class _Vote(NamedTuple):
    """A market's vote of one kind in one round. Ordered as its row is locked."""

    market_id: bytes
    kind: Kind
    round: int


def examine(ballot: SignedBallot, settings: Settings, *, now: datetime | None = None) -> Checked:
    """Checks everything of a ballot that needs no database: its form, text and signature.

    :param now: the time that expiries are compared with; default: this machine's clock.
    :raises BallotRejected: when it is too malformed to be looked for.
    """
    for name, value, size in (
        ("market_id", ballot.market_id, 32),
        ("wallet", ballot.wallet, 32),
        ("signature", ballot.signature, 64),
    ):
        if len(value) != size:
            raise BallotRejected(name, f"is not {size} bytes long")
    key = ballot.idempotency_key
    if key is not None and not (0 < len(key) <= MAX_IDEMPOTENCY_KEY and key.isprintable()):
        raise BallotRejected(
            "idempotency_key", f"is not 1 to {MAX_IDEMPOTENCY_KEY} printable characters"
        )
    try:
        proof = check(
            ballot,
            program=bytes(settings.program),
            network=settings.solana_cluster,
            now=now or datetime.now(UTC),
            ttl=timedelta(seconds=settings.ballot_ttl_seconds),
            older=settings.accept_older_ballots,
        )
    except BallotRejected as rejection:
        return Checked(ballot, rejection)
    return Checked(ballot, proof)


def cast(
    conn: Connection, ballot: SignedBallot, settings: Settings, *, now: datetime | None = None
) -> Stored:
    """Casts one ballot in the transaction of ``conn``, which the caller commits at once::

        with engine.begin() as conn:
            stored = cast(conn, ballot, settings)
        announce(redis, stored.positions)

    The same signature, or the same idempotency key with the same market, kind and choice,
    gives the stored answer again. No error leaves anything behind.

    :param now: the time that expiries are compared with; default: this machine's clock.
    :raises BallotRejected: text, signature, expiry, round, market state or eligibility;
        names the field and the remedy. :class:`UnknownMarket` is one of them.
    :raises BallotConflict: the wallet voted already; holds the stored ballot.
    :raises VotingClosed: the tally is frozen.
    """
    (outcome,) = cast_all(conn, [examine(ballot, settings, now=now)], settings)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def cast_all(conn: Connection, batch: Sequence[Checked], settings: Settings) -> list[Outcome]:
    """Casts ballots of different wallets in the transaction of ``conn``; the outcome of each,
    in their order. What :func:`cast` raises is an outcome here.

    Holds from its first write to the commit: the rows of the votes, so that a freeze comes
    before (and the ballot is refused) or after (and it is counted), and the stream's lock.

    :raises ValueError: when a wallet has two ballots in the batch: which of them counts
        would be an accident.
    """
    if len({checked.ballot.wallet for checked in batch}) < len(batch):
        raise ValueError("a batch holds one ballot of a wallet")
    looks = _look(conn, [checked.ballot for checked in batch], settings)
    outcomes: dict[int, Outcome] = {}
    admitted: dict[int, _Admitted] = {}
    for number, (checked, rows) in enumerate(zip(batch, looks, strict=True)):
        try:
            earlier = _earlier(checked.ballot, rows)
            if earlier is not None:
                outcomes[number] = earlier
            else:
                admitted[number] = _admit(checked, rows[0])
        except (BallotRejected, BallotConflict, VotingClosed) as refusal:
            outcomes[number] = refusal
    if admitted:
        outcomes |= _store(conn, admitted, looks, settings)
    return [outcomes[number] for number in range(len(batch))]


def _look(
    conn: Connection, ballots: Sequence[SignedBallot], settings: Settings
) -> list[list[Row[Any]]]:
    """For each ballot one row per earlier ballot that it may repeat or contradict (one row of
    nulls where there is none), each with the market's state, the vote's round and its counts.
    """
    rows = execute(
        conn,
        statements.SITUATION,
        list(range(len(ballots))),
        [ballot.market_id for ballot in ballots],
        [ballot.kind for ballot in ballots],
        [ballot.wallet for ballot in ballots],
        [ballot.signature for ballot in ballots],
        [ballot.idempotency_key for ballot in ballots],
        settings.dispute_weight_unit,
    )
    found: list[list[Row[Any]]] = [[] for _ in ballots]
    for row in rows:
        found[row.number].append(row)
    return found


def _earlier(ballot: SignedBallot, rows: list[Row[Any]]) -> Stored | None:
    """The stored answer when the ballot is a repeat; a conflict or a misuse is raised."""
    conflict = None
    for row in rows:
        if row.id is None:
            continue
        stored = StoredBallot(
            **{name: getattr(row, name) for name in StoredBallot.__struct_fields__}
        )
        same_vote = (stored.market_id, stored.kind, stored.wallet, stored.choice) == (
            ballot.market_id,
            ballot.kind,
            ballot.wallet,
            ballot.choice,
        )
        if stored.signature == ballot.signature:
            if same_vote and stored.message == ballot.message:
                return _answer(stored, row)
            raise BallotRejected(
                "signature", "was used for another ballot before; sign this one by itself"
            )
        if ballot.idempotency_key is not None and (
            (stored.wallet, stored.idempotency_key) == (ballot.wallet, ballot.idempotency_key)
        ):
            if same_vote:
                return _answer(stored, row)
            if (stored.market_id, stored.kind) != (ballot.market_id, ballot.kind):
                raise BallotRejected(
                    "idempotency_key", "was used for another vote before; use a new one"
                )
            conflict = stored
        elif stored.round == row.round_now:
            conflict = stored
    if conflict is not None:
        raise BallotConflict(conflict)
    return None


def _answer(stored: StoredBallot, row: Row[Any]) -> Stored:
    return Stored(
        ballot=stored,
        repeated=True,
        votes_for=row.votes_for + row.chain_for,
        votes_against=row.votes_against + row.chain_against,
    )


def _admit(checked: Checked, now: Row[Any]) -> _Admitted:
    """The ballot with its round and weight; raises when the market does not take it."""
    ballot, proof = checked.ballot, checked.proof
    if isinstance(proof, BallotRejected):
        raise proof
    if now.state is None:
        raise UnknownMarket("market_id", "is not the id of any market that is on chain")
    if now.tally_status == "frozen":
        raise VotingClosed(ballot.market_id, ballot.kind, now.round_now)
    wanted = VOTING_STATE[ballot.kind]
    if now.state != wanted:
        raise BallotRejected(
            "market_id",
            f"names a market that is {MarketState(now.state).name};"
            f" {ballot.kind} ballots are taken while it is {wanted.name}",
        )
    if now.voted_on_chain:
        raise BallotRejected(
            "wallet", "has voted on chain already; that vote counts and cannot be changed"
        )
    if ballot.kind == "dispute" and not now.shares > 0:
        raise BallotRejected(
            "wallet",
            "held no shares of this market when it was disputed; disputes are decided by those"
            " who did, vote with such a wallet",
        )
    if proof.round is not None and proof.round != now.round_now:
        raise BallotRejected(
            "message",
            f"names round {proof.round}; the vote is in round {now.round_now}, sign for that one",
        )
    return _Admitted(
        ballot, proof, now.round_now, now.weight_now if ballot.kind == "dispute" else 1
    )


def _store(
    conn: Connection,
    admitted: dict[int, _Admitted],
    looks: list[list[Row[Any]]],
    settings: Settings,
) -> dict[int, Outcome]:
    """Stores the ballots whose round is open; by their numbers what became of all."""
    votes = {
        _Vote(one.ballot.market_id, one.ballot.kind, one.round): looks[number][0]
        for number, one in admitted.items()
    }
    running = _lock(conn, votes)
    outcomes: dict[int, Outcome] = {}
    stored_by = {}
    writing: dict[bytes, tuple[int, _Admitted]] = {}
    for number, one in admitted.items():
        vote = _Vote(one.ballot.market_id, one.ballot.kind, one.round)
        if vote in running:
            writing[one.ballot.wallet] = (number, one)
        else:
            outcomes[number] = VotingClosed(*vote)
    if not writing:
        return outcomes
    rows = _write(conn, [one for _, one in writing.values()])
    news = []
    for row in rows:
        number, one = writing.pop(row.wallet)
        stored = _stored(one, row)
        vote = _Vote(stored.market_id, stored.kind, stored.round)
        counts = running[vote]
        counts[0 if stored.choice else 1] += stored.weight
        outcomes[number] = Stored(stored, False, counts[0], counts[1])
        stored_by[number] = len(news)
        news.append(
            frames.vote(
                market_id=stored.market_id,
                kind=stored.kind,
                wallet=stored.wallet,
                choice=stored.choice,
                voted_at=stored.accepted_at,
                votes_for=counts[0],
                votes_against=counts[1],
            )
        )
    if writing:
        outcomes |= _overtaken(conn, list(writing.values()), settings)
    positions = stream.append(conn, news)
    for number, place in stored_by.items():
        outcomes[number] = msgspec.structs.replace(outcomes[number], positions=(positions[place],))
    return outcomes


def _lock(conn: Connection, votes: dict[_Vote, Row[Any]]) -> dict[_Vote, list[int]]:
    """Keeps freezes away from these votes; of those that are open the counts for and against,
    votes on chain included.
    """
    fresh = sorted(vote for vote, row in votes.items() if row.fresh)
    if fresh:
        execute(
            conn,
            statements.OPEN,
            [vote.market_id for vote in fresh],
            [vote.kind for vote in fresh],
            [vote.round for vote in fresh],
            [votes[vote].weight_unit for vote in fresh],
        )
    rows = execute(
        conn,
        statements.LOCK,
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


def _write(conn: Connection, ballots: list[_Admitted]) -> list[Row[Any]]:
    execute(conn, statements.ACT, ",".join(one.ballot.wallet.hex() for one in ballots))
    return list(
        execute(
            conn,
            statements.STORE,
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
    conn: Connection, ballots: list[tuple[int, _Admitted]], settings: Settings
) -> dict[int, Outcome]:
    """What another transaction, which stored a ballot of the same wallet, signature or key
    just now, makes of these.
    """
    outcomes: dict[int, Outcome] = {}
    looks = _look(conn, [one.ballot for _, one in ballots], settings)
    for (number, one), rows in zip(ballots, looks, strict=True):
        try:
            earlier = _earlier(one.ballot, rows)
        except (BallotRejected, BallotConflict) as refusal:
            outcomes[number] = refusal
        else:
            closed = VotingClosed(one.ballot.market_id, one.ballot.kind, one.round)
            outcomes[number] = earlier or closed
    return outcomes


def _stored(one: _Admitted, row: Row[Any]) -> StoredBallot:
    return StoredBallot(
        id=row.id,
        market_id=one.ballot.market_id,
        kind=one.ballot.kind,
        round=one.round,
        wallet=one.ballot.wallet,
        choice=one.ballot.choice,
        weight=one.weight,
        scheme=one.proof.scheme,
        message=one.ballot.message,
        signature=one.ballot.signature,
        nonce=one.proof.nonce,
        idempotency_key=one.ballot.idempotency_key,
        accepted_at=row.accepted_at,
    )
