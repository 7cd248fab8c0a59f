"""Taking a ballot: checked, stored, counted and announced in one transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import frames, stream
from zmart_pipelines.voting import statements
from zmart_pipelines.voting.ballot import BallotRejected, Kind, Proof, SignedBallot, check

__all__ = [
    "BallotConflict",
    "BallotRejected",
    "Stored",
    "StoredBallot",
    "UnknownMarket",
    "VotingClosed",
    "cast",
]

MAX_IDEMPOTENCY_KEY = 255

# The state of the market in which each kind of ballot is taken.
VOTING_STATE: dict[Kind, MarketState] = {
    "proposal": MarketState.PROPOSED,
    "dispute": MarketState.DISPUTED,
}


class StoredBallot(msgspec.Struct, frozen=True):
    """A ballot as the table holds it, proof included."""

    id: int
    market_id: bytes
    kind: Kind
    round: int
    wallet: bytes
    choice: bool
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


def cast(
    conn: Connection, ballot: SignedBallot, settings: Settings, *, now: datetime | None = None
) -> Stored:
    """Stores ``ballot`` in the transaction of ``conn``, which the caller commits at once::

        with engine.begin() as conn:
            stored = cast(conn, ballot, settings)
        announce(redis, stored.positions)

    The same signature, or the same idempotency key with the same market, kind and choice,
    gives the stored answer again. No error leaves anything behind. The wallet, whose
    signature is checked here, becomes the transaction's identity for row-level security.

    :param now: the time that expiries are compared with; default: this machine's clock.
    :raises BallotRejected: text, signature, expiry, round, market state or eligibility;
        names the field and the remedy. :class:`UnknownMarket` is one of them.
    :raises BallotConflict: the wallet voted already; holds the stored ballot.
    :raises VotingClosed: the tally is frozen.
    """
    key = ballot.idempotency_key
    if key is not None and not (0 < len(key) <= MAX_IDEMPOTENCY_KEY and key.isprintable()):
        raise BallotRejected(
            "idempotency_key", f"is not 1 to {MAX_IDEMPOTENCY_KEY} printable characters"
        )
    situation = _situation(conn, ballot)
    earlier = _earlier(ballot, situation)
    if earlier is not None:
        return earlier
    proof = check(
        ballot,
        program=bytes(settings.program),
        network=settings.solana_cluster,
        now=now or datetime.now(UTC),
        ttl=timedelta(seconds=settings.ballot_ttl_seconds),
        older=settings.accept_older_ballots,
    )
    round_number = _admit(ballot, proof, situation[0])
    written = conn.execute(
        statements.STORE,
        {
            "market_id": ballot.market_id,
            "kind": ballot.kind,
            "round": round_number,
            "wallet": ballot.wallet,
            "choice": ballot.choice,
            "scheme": proof.scheme,
            "message": ballot.message,
            "signature": ballot.signature,
            "nonce": proof.nonce,
            "idempotency_key": ballot.idempotency_key,
        },
    ).one_or_none()
    if written is None:
        # Another transaction stored a ballot of this wallet, signature or key just now.
        earlier = _earlier(ballot, _situation(conn, ballot))
        if earlier is None:
            raise VotingClosed(ballot.market_id, ballot.kind, round_number)
        return earlier
    if written.votes_for is None:
        # The ballot is written and must not stay, whatever the caller does next.
        conn.rollback()
        raise VotingClosed(ballot.market_id, ballot.kind, round_number)
    stored = StoredBallot(
        id=written.id,
        market_id=ballot.market_id,
        kind=ballot.kind,
        round=round_number,
        wallet=ballot.wallet,
        choice=ballot.choice,
        scheme=proof.scheme,
        message=ballot.message,
        signature=ballot.signature,
        nonce=proof.nonce,
        idempotency_key=ballot.idempotency_key,
        accepted_at=written.accepted_at,
    )
    votes_for = written.votes_for + situation[0].chain_for
    votes_against = written.votes_against + situation[0].chain_against
    frame = frames.vote(
        market_id=ballot.market_id,
        kind=ballot.kind,
        wallet=ballot.wallet,
        choice=ballot.choice,
        voted_at=stored.accepted_at,
        votes_for=votes_for,
        votes_against=votes_against,
    )
    positions = stream.append(conn, [frame])
    return Stored(
        ballot=stored,
        repeated=False,
        votes_for=votes_for,
        votes_against=votes_against,
        positions=tuple(positions),
    )


def _situation(conn: Connection, ballot: SignedBallot) -> list[Row[Any]]:
    """One row per earlier ballot that this one may repeat or contradict (one row of nulls
    where there is none), each with the market's state, the vote's round and its counts.
    """
    for name, value, size in (
        ("market_id", ballot.market_id, 32),
        ("wallet", ballot.wallet, 32),
        ("signature", ballot.signature, 64),
    ):
        if len(value) != size:
            raise BallotRejected(name, f"is not {size} bytes long")
    return list(
        conn.execute(
            statements.SITUATION,
            {
                "identity": ballot.wallet.hex(),
                "market_id": ballot.market_id,
                "kind": ballot.kind,
                "wallet": ballot.wallet,
                "signature": ballot.signature,
                "idempotency_key": ballot.idempotency_key,
            },
        ).all()
    )


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


def _admit(ballot: SignedBallot, proof: Proof, now: Row[Any]) -> int:
    """The round in which the ballot counts; raises when the market does not take it."""
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
    if ballot.kind == "dispute" and not now.holds_position:
        raise BallotRejected(
            "wallet", "holds no shares of this market; disputes are decided by holders"
        )
    if proof.round is not None and proof.round != now.round_now:
        raise BallotRejected(
            "message",
            f"names round {proof.round}; the vote is in round {now.round_now}, sign for that one",
        )
    return int(now.round_now)
