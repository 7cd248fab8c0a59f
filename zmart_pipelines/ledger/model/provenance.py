"""Where a reading of a transaction came from, and how far it is settled."""

from __future__ import annotations

from enum import IntFlag, StrEnum


class Source(IntFlag):
    """The doors of the ledger; a row keeps all it came through."""

    WEBHOOK = 1
    CONFIRMED_POLL = 2
    FINALIZED_WINDOW = 4
    BACKFILL = 8


class Commitment(StrEnum):
    """The ladder of a ledger row. Rows climb, except to ``ORPHANED``."""

    ORPHANED = "orphaned"
    REPORTED = "reported"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"

    @property
    def rank(self) -> int:
        """Its place on the ladder, 0 for orphaned."""
        return _LADDER.index(self)


_LADDER = tuple(Commitment)
