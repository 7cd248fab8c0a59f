"""Counting ballots, and the freeze after which none is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.program.accounts import VoteRecord
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.ballot import Kind

Status = Literal["open", "frozen", "reopened"]


class Tally(msgspec.Struct, frozen=True):
    """The count of one market, kind and round.

    Open: the effective ballots of now, the chain's record first. Frozen: what is submitted.
    """

    market_id: bytes
    kind: Kind
    round: int
    status: Status
    votes_for: int
    votes_against: int
    frozen_slot: int | None = None
    frozen_chain_time: int | None = None
    bundle_cid: str | None = None

    @property
    def total(self) -> int:
        """All ballots counted."""
        return self.votes_for + self.votes_against


class CountedBallot(msgspec.Struct, frozen=True):
    """One ballot of a frozen tally with its proof as it goes into the bundle."""

    wallet: bytes
    source: Literal["wallet", "chain"]
    choice: bool
    proof: dict[str, object]


class FrozenTally(msgspec.Struct, frozen=True):
    """A frozen tally and the ballots it counts, by wallet."""

    tally: Tally
    ballots: tuple[CountedBallot, ...]


class TallyFault(msgspec.Struct, frozen=True):
    """A tally that does not equal its ballots: the counts of the row and of the ballots."""

    market_id: bytes
    kind: Kind
    round: int
    status: Status
    stored: tuple[int, int]
    counted: tuple[int, int]
    reason: str


def current(conn: Connection, market_id: bytes, kind: Kind) -> Tally:
    """The latest round's tally; zero counts in round 0 where nobody has voted yet."""
    raise NotImplementedError


def open_tallies(conn: Connection, kind: Kind) -> list[Tally]:
    """Every open tally of markets that are still voting, counted now."""
    raise NotImplementedError


def recount(conn: Connection, market_id: bytes, kind: Kind, round_number: int) -> Tally:
    """Counts an open tally anew from the ballots and stores the result; frozen: as stored."""
    raise NotImplementedError


def due(conn: Connection, settings: Settings) -> list[Tally]:
    """Open proposal tallies that reach the least number of ballots and the threshold.

    The threshold is that of the configuration last seen by the ledger; the decision itself
    reads the chain again.
    """
    raise NotImplementedError


def freeze(
    conn: Connection,
    market_id: bytes,
    kind: Kind,
    round_number: int,
    *,
    slot: int,
    chain_time: int,
    chain_votes: Sequence[VoteRecord],
) -> FrozenTally:
    """Closes the round at finalized ``slot`` and fixes what counts: the ballots stored here
    and ``chain_votes`` (read at that slot), the chain's record first.

    Waits for casters that are committing; whoever comes after sees VotingClosed. A tally
    that is already frozen is returned as it was frozen. Committed by the caller.
    """
    raise NotImplementedError


def frozen(conn: Connection, market_id: bytes, kind: Kind, round_number: int) -> FrozenTally:
    """A frozen tally with the ballots it counts. KeyError where there is none."""
    raise NotImplementedError


def reopen(conn: Connection, market_id: bytes, kind: Kind) -> int:
    """Ops only: marks the latest frozen round as reopened and opens the next; its number."""
    raise NotImplementedError


def faults(conn: Connection) -> list[TallyFault]:
    """Every tally that differs from its ballots ("tally equals ballots"); good: none."""
    raise NotImplementedError
