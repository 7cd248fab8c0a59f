"""What one ingest changed."""

from __future__ import annotations

import msgspec


class IngestResult(msgspec.Struct, frozen=True):
    """What one call changed.

    Attributes:
        new_transactions: readings stored for the first time.
        new_events: events stored for the first time, quarantined ones included.
        quarantined: those of the new events that could not be decoded.
        promoted: readings whose commitment rose, or that are no longer orphaned.
        orphaned: readings that no longer count.
        ignored: readings that do not concern the program, or that contradict a better
            settled reading of the same transaction.
        markets: ids of the markets whose projection changed.
    """

    new_transactions: int = 0
    new_events: int = 0
    quarantined: int = 0
    promoted: int = 0
    orphaned: int = 0
    ignored: int = 0
    markets: frozenset[bytes] = frozenset()

    def merge(self, other: IngestResult) -> IngestResult:
        """Return the sum of both."""
        return IngestResult(
            self.new_transactions + other.new_transactions,
            self.new_events + other.new_events,
            self.quarantined + other.quarantined,
            self.promoted + other.promoted,
            self.orphaned + other.orphaned,
            self.ignored + other.ignored,
            self.markets | other.markets,
        )
