"""Where a reading of a transaction came from, and how far it is settled."""

from __future__ import annotations

from enum import IntFlag, StrEnum


class Source(IntFlag):
    """The sources of readings; a stored reading keeps all sources that delivered it."""

    WEBHOOK = 1
    CONFIRMED_POLL = 2
    FINALIZED_WINDOW = 4
    BACKFILL = 8


class Commitment(StrEnum):
    """The commitment ladder. Rows are promoted along it, or orphaned."""

    ORPHANED = "orphaned"
    REPORTED = "reported"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"

    @property
    def rank(self) -> int:
        """The position on the ladder; 0 for orphaned."""
        return _LADDER.index(self)


_LADDER = tuple(Commitment)


def lower_of(first: Commitment, second: Commitment) -> Commitment:
    """Return the less settled of two commitments."""
    return first if first.rank <= second.rank else second
