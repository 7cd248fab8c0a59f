"""Ingest of readings of which anything may be stored already, in any order.

A stored reading is promoted, or replaced if a better settled one contradicts it. Markets whose
events arrive out of order are refolded from the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.ledger.ingest import change_frames, projector
from zmart_pipelines.ledger.ingest.context import IngestContext
from zmart_pipelines.ledger.ingest.event_grouping import group_by_market, placed_events
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.orphaning import lock_affected
from zmart_pipelines.ledger.model.config_timeline import CONFIG_EVENTS
from zmart_pipelines.ledger.model.decode import Reading
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.rows import commitment_updates, event_rows, market_rows
from zmart_pipelines.store import stream
from zmart_pipelines.store.locks import CONFIGURATION, lock, lock_markets, lock_shared
from zmart_pipelines.store.statement_pipeline import run

_log = logging.getLogger(__name__)


class _StoredReadings(msgspec.Struct):
    """What became of the readings' rows.

    Attributes:
        new: stored for the first time.
        promoted: the stored row gained commitment, a source or an index in the block.
        revived: signatures of orphans that count again.
        orphaned: signatures of stored readings that were contradicted.
        orphan_change: what the orphaned readings' events touched.
        risen: how many of ``promoted`` rose in commitment.
        ignored: readings that contradict a better settled one.
    """

    new: list[Reading] = []
    promoted: list[Reading] = []
    revived: set[bytes] = set()
    orphaned: set[bytes] = set()
    orphan_change: commitment_updates.CommitmentChange = commitment_updates.NO_CHANGE
    risen: int = 0
    ignored: int = 0


class GeneralIngest:
    """One ingest in one transaction."""

    def __init__(self, conn: Connection, context: IngestContext) -> None:
        self._conn = conn
        self._context = context
        self._commitment = context.commitment

    def run(self, readings: Sequence[Reading]) -> IngestResult:
        """Store the readings, update the projection and append the frames."""
        conn, program = self._conn, self._context.program
        self._lock(readings)
        stored = self._store_transactions(readings)
        market_ids = self._market_ids(stored.new)
        new_events = self._store_events(stored.new, market_ids)
        promoted = commitment_updates.propagate_commitments(
            conn, {reading.signature for reading in stored.promoted} | stored.revived
        )
        self._record_gaps(stored.new + stored.promoted)
        refold = (
            stored.orphan_change.reordered | promoted.reordered | self._assign_claims(stored.new)
        )
        if (
            stored.orphan_change.configuration
            or promoted.configuration
            or _change_configuration(stored.new)
        ):
            refold |= projector.refold_configuration(conn)
        placed = group_by_market(placed_events(stored.new), market_ids)
        changes = projector.update_projections(conn, program, placed, refold, self._commitment)
        market_rows.update_market_commitments(
            conn, promoted.market_ids - {market.market_id for market in changes}
        )
        frames = change_frames.load_counts_and_build_frames(
            conn, changes, stored.orphaned, stored.orphan_change.market_ids, self._commitment
        )
        stream.append(conn, frames)
        return IngestResult(
            new_transactions=len(stored.new),
            new_events=new_events,
            quarantined=sum(
                event.quarantine_reason is not None
                for reading in stored.new
                for event in reading.events
            ),
            promoted=stored.risen + len(stored.revived),
            orphaned=len(stored.orphaned),
            ignored=stored.ignored,
            markets=projector.changed_market_ids(changes),
        )

    def _lock(self, readings: Iterable[Reading]) -> None:
        if _change_configuration(readings):
            lock(self._conn, CONFIGURATION)
        else:
            lock_shared(self._conn, CONFIGURATION)
        lock_markets(self._conn, {event.address for event in placed_events(readings)})

    def _store_transactions(self, readings: Sequence[Reading]) -> _StoredReadings:
        """Insert, promote, revive and orphan transactions as these readings require."""
        done = _StoredReadings()
        # What another writer inserts during the first pass is promoted in the second.
        for _ in range(2):
            promotable, contradicted, fresh = self._classify(readings, done)
            if contradicted:
                lock_affected(self._conn, [key[0] for key in contradicted], self._context.program)
            orphaned, change = commitment_updates.orphan_transactions(self._conn, contradicted)
            inserted = event_rows.insert_transactions(
                self._conn,
                fresh,
                source=self._context.source,
                commitment=self._commitment,
                delivery_ids=self._context.delivery_ids,
            )
            if promotable:
                commitment_updates.promote_transactions(
                    self._conn,
                    promotable,
                    source=self._context.source,
                    commitment=self._commitment,
                )
            done.promoted += promotable
            done.orphaned |= orphaned
            done.orphan_change = done.orphan_change.merge(change)
            done.new += [reading for reading in fresh if inserted.get(reading.signature)]
            done.revived |= {signature for signature, is_new in inserted.items() if not is_new}
            readings = [reading for reading in fresh if reading.signature not in inserted]
            if not readings:
                break
        done.ignored += len(readings)
        return done

    def _classify(
        self, readings: Sequence[Reading], done: _StoredReadings
    ) -> tuple[list[Reading], list[event_rows.ReadingKey], list[Reading]]:
        """Split readings by what is stored of them.

        Returns:
            The readings to promote, the keys of stored readings that are contradicted, and
            the readings to insert.
        """
        current = event_rows.lock_current_readings(
            self._conn, [reading.signature for reading in readings]
        )
        promotable: list[Reading] = []
        contradicted: list[event_rows.ReadingKey] = []
        fresh: list[Reading] = []
        for reading in readings:
            known = current.get(reading.signature)
            if known is None:
                fresh.append(reading)
            elif known.digest == reading.digest:
                if self._adds_information(reading, known):
                    promotable.append(reading)
                    done.risen += self._commitment.rank > known.commitment.rank
            elif self._outranks(known):
                contradicted.append((reading.signature, known.digest))
                fresh.append(reading)
            else:
                done.ignored += 1
                _log.warning(
                    "ignored a %s reading of slot %d that contradicts the %s one of slot %d",
                    self._commitment,
                    reading.slot,
                    known.commitment,
                    known.slot,
                )
        return promotable, contradicted, fresh

    def _adds_information(self, reading: Reading, known: event_rows.CurrentReading) -> bool:
        """Whether the reading says anything that the stored, equal one does not."""
        index = reading.index_in_block
        return (
            self._commitment.rank > known.commitment.rank
            or self._context.source not in known.sources
            or (index is not None and index != known.index_in_block and self._may_set_index(known))
        )

    def _may_set_index(self, known: event_rows.CurrentReading) -> bool:
        if known.index_in_block is None:
            return True
        return (
            self._context.source is not Source.WEBHOOK
            and known.commitment is not Commitment.FINALIZED
        )

    def _outranks(self, known: event_rows.CurrentReading) -> bool:
        """Whether a different reading replaces the stored one."""
        if known.commitment is Commitment.FINALIZED or self._context.source is Source.WEBHOOK:
            return False
        return self._commitment.rank >= known.commitment.rank

    def _market_ids(self, new: Sequence[Reading]) -> dict[bytes, bytes]:
        """Return market ids by address; claims name only their market's address."""
        named = {
            event.market: event.market_id
            for reading in new
            for event in reading.events
            if event.market is not None and event.market_id is not None
        }
        unnamed = {event.address for event in placed_events(new)} - named.keys()
        return market_rows.load_market_ids(self._conn, unnamed) | named

    def _store_events(self, new: Sequence[Reading], market_ids: dict[bytes, bytes]) -> int:
        statement = event_rows.insert_events_statement(
            new, commitment=self._commitment, market_ids=market_ids
        )
        if statement is not None:
            run(self._conn, statement)
        return sum(len(reading.events) for reading in new)

    def _assign_claims(self, new: Sequence[Reading]) -> set[bytes]:
        """Assign earlier claims to new markets; return the ids of markets that got any."""
        named = {
            event.market_id: event.market
            for reading in new
            for event in reading.events
            if event.market_id is not None and event.market is not None
        }
        if not named:
            return set()
        unknown = set(named) - set(market_rows.load_markets(self._conn, named))
        return commitment_updates.assign_claims_to_markets(
            self._conn, {market_id: named[market_id] for market_id in unknown}
        )

    def _record_gaps(self, readings: Sequence[Reading]) -> None:
        """Open gaps for incomplete readings and close those that the readings fill."""
        gaps = [
            event_rows.Gap(reading.signature, "incomplete", reading.slot, reading.gap)
            for reading in readings
            if reading.gap is not None
        ]
        event_rows.open_gaps(self._conn, gaps)
        complete = [reading.signature for reading in readings if reading.gap is None]
        event_rows.close_gaps(self._conn, complete, ["unread", "incomplete"])
        event_rows.close_gaps(self._conn, [gap.signature for gap in gaps], ["unread"])


def _change_configuration(readings: Iterable[Reading]) -> bool:
    return any(
        isinstance(event.event, CONFIG_EVENTS) for reading in readings for event in reading.events
    )
