"""What becomes of a ballot that was handed in."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from zmart_pipelines.voting.ballot import BallotRejected, Kind


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


class CastReceipt(msgspec.Struct, frozen=True):
    """The answer to a ballot.

    ``repeated``: it was stored before, nothing was written now. ``votes_for`` and
    ``votes_against`` are the tally of the ballot's round now, on-chain votes included.
    """

    ballot: StoredBallot
    repeated: bool
    votes_for: int
    votes_against: int


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


CastRefusal: TypeAlias = BallotRejected | BallotConflict | VotingClosed
CastResult: TypeAlias = CastReceipt | CastRefusal
