"""The results of casting a ballot."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from zmart_pipelines.voting.ballot import BallotRejected, Kind


class StoredBallot(msgspec.Struct, frozen=True):
    """A row of ``voting.ballots``, proof included. ``weight``: votes that it counts for."""

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


class CastReceipt(msgspec.Struct, frozen=True):
    """The answer to an accepted ballot.

    Attributes:
        ballot: The stored ballot.
        repeated: It was stored before; nothing was written now.
        votes_for: Current tally of the ballot's round, votes on chain included.
        votes_against: Current tally of the ballot's round, votes on chain included.
    """

    ballot: StoredBallot
    repeated: bool
    votes_for: int
    votes_against: int


class UnknownMarket(BallotRejected):
    """No ingested market has this id."""


class BallotConflict(Exception):
    """The wallet already has another ballot in this market, kind and round: ``stored``."""

    def __init__(self, stored: StoredBallot) -> None:
        super().__init__("this wallet has already voted in this market")
        self.stored = stored


class VotingClosed(Exception):
    """The tally of this market, kind and round is frozen; no more ballots are accepted."""

    def __init__(self, market_id: bytes, kind: Kind, round_number: int) -> None:
        super().__init__(f"voting is closed for this market (the {kind} vote of {market_id.hex()})")
        self.market_id = market_id
        self.kind = kind
        self.round = round_number


CastRefusal: TypeAlias = BallotRejected | BallotConflict | VotingClosed
CastResult: TypeAlias = CastReceipt | CastRefusal
