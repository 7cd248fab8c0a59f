"""Ingest of readings of which anything may be stored already, in any order.

A stored reading is promoted, or replaced if one that is as well settled and as complete
contradicts it. A finalized one is superseded only by a finalized one that is complete. Markets
whose events arrive out of order are refolded from the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection

from zmart_pipelines import tracing
from zmart_pipelines.ledger.ingest import change_frames, projector
from zmart_pipelines.ledger.ingest.context import IngestContext
from zmart_pipelines.ledger.ingest.event_grouping import group_by_market, placed_events
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.orphaning import lock_affected
from zmart_pipelines.ledger.model.config_timeline import CONFIG_EVENTS
from zmart_pipelines.ledger.model.decode import Reading, decode
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.rows import (
    commitment_updates,
    event_rows,
    market_rows,
    stored_readings,
)
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
        orphaned: signatures of stored readings that were contradicted or superseded.
        orphan_change: what the orphaned readings' events touched.
        risen: how many of ``promoted`` rose in commitment.
        ignored: readings that contradict a better settled or more complete one.
    """

    new: list[Reading] = []
    promoted: list[Reading] = []
    revived: set[bytes] = set()
    orphaned: set[bytes] = set()
    orphan_change: commitment_updates.CommitmentChange = commitment_updates.NO_CHANGE
    risen: int = 0
    ignored: list[Reading] = []


class _Classified(msgspec.Struct):
    """Readings by what is stored of their transactions.

    Attributes:
        promotable: equal to the stored reading.
        contradicted: keys of stored readings that are replaced.
        superseded: keys of finalized ones that are, with the reason.
        fresh: to be inserted.
    """

    promotable: list[Reading] = []
    contradicted: list[event_rows.ReadingKey] = []
    superseded: list[commitment_updates.Supersession] = []
    fresh: list[Reading] = []


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
        self._record_gaps(readings, stored)
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
        with tracing.span("market materialization", markets=len(placed.keys() | refold)):
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
            ignored=len(stored.ignored),
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
            found = self._classify(readings, done)
            replaced = [*found.contradicted, *(one.key for one in found.superseded)]
            if replaced:
                lock_affected(self._conn, [key[0] for key in replaced], self._context.program)
            for orphaned, change in (
                commitment_updates.orphan_transactions(self._conn, found.contradicted),
                commitment_updates.supersede_transactions(self._conn, found.superseded),
            ):
                done.orphaned |= orphaned
                done.orphan_change = done.orphan_change.merge(change)
            inserted = event_rows.insert_transactions(
                self._conn,
                found.fresh,
                source=self._context.source,
                commitment=self._commitment,
                delivery_ids=self._context.delivery_ids,
            )
            if found.promotable:
                commitment_updates.promote_transactions(
                    self._conn,
                    found.promotable,
                    source=self._context.source,
                    commitment=self._commitment,
                )
            done.promoted += found.promotable
            done.new += [reading for reading in found.fresh if inserted.get(reading.signature)]
            done.revived |= {signature for signature, is_new in inserted.items() if not is_new}
            readings = [reading for reading in found.fresh if reading.signature not in inserted]
            if not readings:
                break
        done.ignored += readings
        return done

    def _classify(self, readings: Sequence[Reading], done: _StoredReadings) -> _Classified:
        """Split readings by what is stored of them."""
        current = event_rows.lock_current_readings(
            self._conn, [reading.signature for reading in readings]
        )
        found = _Classified()
        different: list[Reading] = []
        for reading in readings:
            known = current.get(reading.signature)
            if known is None:
                found.fresh.append(reading)
            elif known.digest != reading.digest:
                different.append(reading)
            elif self._adds_information(reading, known):
                found.promotable.append(reading)
                done.risen += self._commitment.rank > known.commitment.rank
        stored = stored_readings.load_raw_transactions(
            self._conn,
            [(reading.signature, current[reading.signature].digest) for reading in different],
        )
        for reading in different:
            known = current[reading.signature]
            key = (reading.signature, known.digest)
            known_reading = decode(stored[key], self._context.program)
            reason = self._supersedes(reading, known, known_reading)
            if reason is not None:
                found.superseded.append(
                    commitment_updates.Supersession(key, reading.digest, reason)
                )
                found.fresh.append(reading)
            elif self._outranks(reading, known, known_reading):
                found.contradicted.append(key)
                found.fresh.append(reading)
            else:
                done.ignored.append(reading)
                _log.warning(
                    "ignored a %s reading of slot %d that contradicts the %s one of slot %d",
                    self._commitment,
                    reading.slot,
                    known.commitment,
                    known.slot,
                )
        return found

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

    def _outranks(
        self, reading: Reading, known: event_rows.CurrentReading, known_reading: Reading
    ) -> bool:
        """Whether a different reading replaces the stored one, which is not finalized.

        One that says less never does, however well settled it is: it may only have been cut.
        """
        if known.commitment is Commitment.FINALIZED or self._context.source is Source.WEBHOOK:
            return False
        moved = reading.slot != known.slot
        says_less = (
            reading.completeness[:1] < known_reading.completeness[:1]
            if moved
            else reading.completeness < known_reading.completeness
        )
        return not says_less and self._commitment.rank >= known.commitment.rank

    def _supersedes(
        self, reading: Reading, known: event_rows.CurrentReading, known_reading: Reading
    ) -> str | None:
        """Return why a different finalized reading supersedes a finalized one; None: it does not.

        A complete one supersedes one that is not. Of two complete ones the accounts decide.
        """
        if (
            known.commitment is not Commitment.FINALIZED
            or self._commitment is not Commitment.FINALIZED
            or reading.gap is not None
        ):
            return None
        return known_reading.gap or self._context.superseding

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

    def _record_gaps(self, readings: Sequence[Reading], stored: _StoredReadings) -> None:
        """Open gaps for what is incomplete or contradicted, and close those that are filled.

        A webhook's word fills none: whether its transaction is on chain is not known yet.
        """
        conn = self._conn
        is_webhook = self._context.source is Source.WEBHOOK
        ignored = {reading.signature for reading in stored.ignored}
        kept = [
            reading
            for reading in (*stored.new, *stored.promoted, *self._revived(readings, stored))
            if reading.signature not in ignored
        ]
        gaps = [_gap(reading) for reading in kept if reading.gap is not None]
        if not is_webhook:
            gaps += [
                _gap(reading)
                for reading in stored.ignored
                if reading.gap is not None or self._commitment is Commitment.FINALIZED
            ]
        event_rows.open_gaps(conn, gaps)
        if is_webhook:
            return
        complete = [reading.signature for reading in kept if reading.gap is None]
        event_rows.close_gaps(
            conn, complete, ["unread", "unsupported", "contradictory", "incomplete"]
        )
        read = [reading.signature for reading in kept if reading.gap is not None]
        event_rows.close_gaps(conn, read, ["unread", "unsupported"])

    @staticmethod
    def _revived(readings: Sequence[Reading], stored: _StoredReadings) -> list[Reading]:
        return [reading for reading in readings if reading.signature in stored.revived]


def _gap(reading: Reading) -> event_rows.Gap:
    """Return the gap of a reading that is incomplete or differs from a finalized one."""
    if reading.gap is None:
        reason = f"another finalized reading, of slot {reading.slot}, differs from the stored one"
        return event_rows.Gap(reading.signature, "contradictory", reading.slot, reason)
    return event_rows.Gap(reading.signature, reading.gap_kind, reading.slot, reading.gap)


def _change_configuration(readings: Iterable[Reading]) -> bool:
    return any(
        isinstance(event.event, CONFIG_EVENTS) for reading in readings for event in reading.events
    )
