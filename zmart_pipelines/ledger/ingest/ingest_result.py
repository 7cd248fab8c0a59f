"""What one step of intake changed."""

from __future__ import annotations

import msgspec


class IngestResult(msgspec.Struct, frozen=True):
    """What one call changed.

    :ivar new_transactions: readings stored for the first time.
    :ivar new_events: events stored for the first time, quarantined ones included.
    :ivar quarantined: those of them that could not be decoded.
    :ivar climbed: readings whose commitment rose, or that are no orphans any more.
    :ivar orphaned: readings that count no more.
    :ivar ignored: readings that do not concern the program, or that contradict a better
        settled reading of the same transaction.
    :ivar markets: ids of the markets whose projection changed.
    :ivar positions: positions of the frames appended to the stream; after the commit hand
        them to ``store.stream.announce``.
    """

    new_transactions: int = 0
    new_events: int = 0
    quarantined: int = 0
    promoted: int = 0
    orphaned: int = 0
    ignored: int = 0
    markets: frozenset[bytes] = frozenset()
    positions: tuple[int, ...] = ()

    def merge(self, other: IngestResult) -> IngestResult:
        """Both together."""
        return IngestResult(
            self.new_transactions + other.new_transactions,
            self.new_events + other.new_events,
            self.quarantined + other.quarantined,
            self.promoted + other.promoted,
            self.orphaned + other.orphaned,
            self.ignored + other.ignored,
            self.markets | other.markets,
            self.positions + other.positions,
        )
