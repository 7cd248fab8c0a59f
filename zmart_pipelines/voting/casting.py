"""Taking a ballot: checked, stored, counted and announced in one transaction."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.ballot import BallotRejected, Kind, SignedBallot

__all__ = [
    "BallotConflict",
    "BallotRejected",
    "Stored",
    "StoredBallot",
    "VotingClosed",
    "cast",
]


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
    ``votes_against`` are the open tally with this ballot in it. ``positions`` are the
    stream's new positions, to be announced after the commit.
    """

    ballot: StoredBallot
    repeated: bool
    votes_for: int
    votes_against: int
    positions: tuple[int, ...] = ()


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
    gives the stored answer again. Any error leaves nothing behind once the caller rolls
    back (``engine.begin()`` does).

    :param now: the time that expiries are compared with; default: this machine's clock.
    :raises BallotRejected: text, signature, expiry, round, market state or eligibility;
        names the field and the remedy.
    :raises BallotConflict: the wallet voted already; holds the stored ballot.
    :raises VotingClosed: the tally is frozen.
    """
    raise NotImplementedError
