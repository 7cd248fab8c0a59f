"""The one way into the ledger: every door ends here, once per transaction and event."""

from __future__ import annotations

import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
import psycopg
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest import change_frames, fast_path, projector
from zmart_pipelines.ledger.ingest.fast_path import IngestContext
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.model.config_timeline import CONFIG_EVENTS
from zmart_pipelines.ledger.model.decode import Reading, decode, market_address_bytes
from zmart_pipelines.ledger.model.projection import PlacedEvent
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.rows import commitment_updates, event_rows, market_rows
from zmart_pipelines.store import stream
from zmart_pipelines.store.locks import CONFIGURATION, lock, lock_markets, lock_shared
from zmart_pipelines.store.statement_pipeline import run

# A transaction of the database holds one lock per market; more than this belongs in several.
MAX_BATCH: Final = 1000
MAX_ATTEMPTS: Final = 5
# What two writers of the same thing at once may meet; the loser finds it done.
COLLISIONS: Final = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
    psycopg.errors.SerializationFailure,
    fast_path.ConcurrentWriteError,
)

_log = logging.getLogger(__name__)
T = TypeVar("T")


def ingest(
    engine_or_conn: Engine | Connection,
    transactions: Sequence[RawTransaction],
    *,
    source: Source,
    commitment: Commitment | str,
    program: Pubkey,
    delivery_id: event_rows.DeliveryIds = None,
) -> IngestResult:
    """Store these readings and project what is new, in one database transaction.

    Exactly once by key: what is there already only climbs. A reading that contradicts the
    stored one of the same transaction (it landed in another slot, or was first told falsely)
    replaces it where it is at least as well settled; the other is orphaned.

    Given an engine (role INGEST) it opens and commits the transaction, and tries again after
    a collision with another writer. Given a connection it works in the caller's transaction,
    as its last part, and the caller commits at once.

    :param transactions: at most ``MAX_BATCH``.
    :param commitment: how settled the source says they are: reported for a webhook,
        confirmed or finalized for a reading by RPC.
    """
    if len(transactions) > MAX_BATCH:
        raise ValueError(f"at most {MAX_BATCH} transactions at once, not {len(transactions)}")
    decoded = (decode(one, program) for one in transactions)
    readings = list({one.signature: one for one in decoded}.values())
    level = Commitment(commitment)
    if not readings:
        return IngestResult()

    door = IngestContext(program, source, level, delivery_id)
    told = [one for one in readings if _is_acceptable(one, source)]
    ignored = IngestResult(ignored=len(readings) - len(told))

    def work(conn: Connection) -> IngestResult:
        done = fast_path.ingest_in_order(conn, told, door) if told else IngestResult()
        return ignored.merge(_GeneralIngest(conn, door).run(told) if done is None else done)

    if isinstance(engine_or_conn, Engine):
        return run_in_transaction(engine_or_conn, work)
    return work(engine_or_conn)


def _is_acceptable(reading: Reading, source: Source) -> bool:
    """A webhook may speak of the program's transactions only."""
    return reading.concerns_program or source is not Source.WEBHOOK


def orphan_readings(
    conn: Connection, keys: Collection[event_rows.ReadingKey], program: Pubkey
) -> IngestResult:
    """Orphan readings (signature, digest) that the chain turned out not to hold.

    Their markets are folded anew and clients told. In the caller's transaction, as its last
    part; finalized readings stay.
    """
    if not keys:
        return IngestResult()
    lock_shared(conn, CONFIGURATION)
    _lock_affected(conn, [key[0] for key in keys], program)
    orphaned, lost = commitment_updates.orphan_transactions(conn, keys)
    refold = set(lost.replaced)
    if lost.configuration:
        refold |= projector.refold_configuration(conn)
    folded = projector.update_projections(conn, program, {}, refold, Commitment.ORPHANED)
    frames = change_frames.load_counts_and_build_frames(
        conn, folded, orphaned, lost.market_ids, Commitment.ORPHANED
    )
    return IngestResult(
        orphaned=len(orphaned),
        markets=frozenset(one.market_id for one in folded),
        positions=tuple(stream.append(conn, frames)),
    )


def _lock_affected(conn: Connection, signatures: Collection[bytes], program: Pubkey) -> None:
    """Lock what the stored events of these transactions concern.

    After other locks it is out of the usual order: two such writers may deadlock, and one
    of them then begins anew.
    """
    stored = commitment_updates.load_affected_state(conn, signatures)
    if stored.configuration:
        lock(conn, CONFIGURATION)
    addresses = {market_address_bytes(program, one) for one in stored.market_ids}
    lock_markets(conn, addresses | stored.addresses)


def run_in_transaction(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in a transaction and commit; anew after a collision with another writer."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with engine.begin() as conn:
                return work(conn)
        except (DBAPIError, fast_path.ConcurrentWriteError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if not isinstance(cause, COLLISIONS) or attempt == MAX_ATTEMPTS:
                raise
            _log.info("collision with another writer, attempt %d: %r", attempt, cause)
            time.sleep(random.uniform(0, 0.05 * 2**attempt))
    raise AssertionError("unreachable")


class _StoredReadings(msgspec.Struct):
    """What became of the readings' rows."""

    new: list[Reading] = []
    promoted: list[Reading] = []
    revived: set[bytes] = set()
    orphaned: set[bytes] = set()
    lost: commitment_updates.CommitmentChange = commitment_updates.NO_CHANGE
    raised: int = 0
    ignored: int = 0


class _GeneralIngest:
    """One ingest in one transaction."""

    def __init__(self, conn: Connection, door: IngestContext) -> None:
        self.conn = conn
        self.program, self.source, self.commitment, self.delivery_id = door
        self.market_ids: dict[bytes, bytes] = {}

    def run(self, readings: Sequence[Reading]) -> IngestResult:
        """Store, project, announce."""
        self._lock(readings)
        done = self._store(readings)
        events = self._store_events(done.new)
        moved = commitment_updates.propagate_commitments(
            self.conn, {one.signature for one in done.promoted} | done.revived
        )
        self._record_gaps(done.new + done.promoted)
        refold = done.lost.replaced | moved.replaced | self._adopted(done.new)
        if done.lost.configuration or moved.configuration or _change_configuration(done.new):
            refold |= projector.refold_configuration(self.conn)
        placed = self._placed(done.new)
        folded = projector.update_projections(
            self.conn, self.program, placed, refold, self.commitment
        )
        market_rows.update_market_commitments(
            self.conn, moved.market_ids - {one.market_id for one in folded}
        )
        frames = change_frames.load_counts_and_build_frames(
            self.conn, folded, done.orphaned, done.lost.market_ids, self.commitment
        )
        return IngestResult(
            new_transactions=len(done.new),
            new_events=events,
            quarantined=sum(
                event.quarantine_reason is not None for one in done.new for event in one.events
            ),
            promoted=done.raised + len(done.revived),
            orphaned=len(done.orphaned),
            ignored=done.ignored,
            markets=frozenset(one.market_id for one in folded if one.before or one.after),
            positions=tuple(stream.append(self.conn, frames)),
        )

    def _store(self, readings: Sequence[Reading]) -> _StoredReadings:
        """Bring the transactions' rows up to these readings."""
        done = _StoredReadings()
        # Whatever another writer stored meanwhile is there to climb at the second look.
        for _ in range(2):
            promotable, contradicted, fresh = self._sort(readings, done)
            if contradicted:
                _lock_affected(self.conn, [key[0] for key in contradicted], self.program)
            orphaned, lost = commitment_updates.orphan_transactions(self.conn, contradicted)
            stored = event_rows.insert_transactions(
                self.conn,
                fresh,
                source=self.source,
                commitment=self.commitment,
                delivery_id=self.delivery_id,
            )
            if promotable:
                commitment_updates.promote_transactions(
                    self.conn, promotable, source=self.source, commitment=self.commitment
                )
            done.promoted += promotable
            done.orphaned |= orphaned
            done.lost = done.lost.merge(lost)
            done.new += [one for one in fresh if stored.get(one.signature)]
            done.revived |= {signature for signature, is_new in stored.items() if not is_new}
            readings = [one for one in fresh if one.signature not in stored]
            if not readings:
                break
        done.ignored += len(readings)
        return done

    def _lock(self, readings: Iterable[Reading]) -> None:
        known = [event for one in readings for event in one.events if event.event is not None]
        if any(isinstance(event.event, CONFIG_EVENTS) for event in known):
            lock(self.conn, CONFIGURATION)
        else:
            lock_shared(self.conn, CONFIGURATION)
        lock_markets(self.conn, {event.market for event in known if event.market is not None})

    def _sort(
        self, readings: Sequence[Reading], done: _StoredReadings
    ) -> tuple[list[Reading], list[event_rows.ReadingKey], list[Reading]]:
        """What climbs, what is contradicted, what is to be stored."""
        live = event_rows.lock_current_readings(self.conn, [one.signature for one in readings])
        promotable: list[Reading] = []
        contradicted: list[event_rows.ReadingKey] = []
        fresh: list[Reading] = []
        for reading in readings:
            known = live.get(reading.signature)
            if known is None:
                fresh.append(reading)
            elif known.digest == reading.digest:
                if self._adds(reading, known):
                    promotable.append(reading)
                    done.raised += self.commitment.rank > known.commitment.rank
            elif self._outranks(known):
                contradicted.append((reading.signature, known.digest))
                fresh.append(reading)
            else:
                done.ignored += 1
                _log.warning(
                    "a %s reading of slot %d contradicts the %s one of slot %d",
                    self.commitment,
                    reading.slot,
                    known.commitment,
                    known.slot,
                )
        return promotable, contradicted, fresh

    def _adds(self, reading: Reading, known: event_rows.CurrentReading) -> bool:
        """Whether the reading tells anything that the stored one does not."""
        index = reading.index_in_block
        return (
            self.commitment.rank > known.commitment.rank
            or self.source not in known.sources
            or (index is not None and index != known.index_in_block and self._may_place(known))
        )

    def _may_place(self, known: event_rows.CurrentReading) -> bool:
        if known.index_in_block is None:
            return True
        return self.source is not Source.WEBHOOK and known.commitment is not Commitment.FINALIZED

    def _outranks(self, known: event_rows.CurrentReading) -> bool:
        """Whether a different reading takes the stored one's place."""
        if known.commitment is Commitment.FINALIZED or self.source is Source.WEBHOOK:
            return False
        return self.commitment.rank >= known.commitment.rank

    def _store_events(self, new: Sequence[Reading]) -> int:
        by_address = {
            event.market
            for one in new
            for event in one.events
            if event.market is not None and event.market_id is None
        }
        known = market_rows.load_market_ids(self.conn, by_address)
        created = {
            event.market: event.market_id
            for one in new
            for event in one.events
            if event.market in by_address and event.market_id is not None
        }
        self.market_ids = known | created
        statement = event_rows.insert_events_statement(
            new, commitment=self.commitment, market_ids=self.market_ids
        )
        if statement is not None:
            run(self.conn, statement)
        return sum(len(one.events) for one in new)

    def _adopted(self, new: Sequence[Reading]) -> set[bytes]:
        """Markets whose claims were stored before anything said which market they are of."""
        created = {
            event.market_id: event.market
            for one in new
            for event in one.events
            if event.market_id is not None and event.market is not None
        }
        if not created:
            return set()
        unknown = set(created) - set(market_rows.load_markets(self.conn, created))
        return commitment_updates.assign_claims_to_markets(
            self.conn, {one: created[one] for one in unknown}
        )

    def _placed(self, new: Sequence[Reading]) -> dict[bytes, list[PlacedEvent]]:
        placed: dict[bytes, list[PlacedEvent]] = defaultdict(list)
        for reading in new:
            for event in reading.events:
                if event.event is None or event.market is None:
                    continue
                market_id = event.market_id or self.market_ids.get(event.market)
                if market_id is None:
                    continue
                place = market_rows.event_place(
                    reading.signature, event.log_index, reading.slot, reading.index_in_block
                )
                placed[market_id].append(
                    PlacedEvent(place, event.event, event.market, event.instruction)
                )
        return placed

    def _record_gaps(self, readings: Sequence[Reading]) -> None:
        incomplete = [one for one in readings if one.gap is not None]
        event_rows.open_gaps(
            self.conn,
            [
                event_rows.Gap(one.signature, "incomplete", one.slot, one.gap)
                for one in incomplete
                if one.gap is not None
            ],
        )
        whole = [one.signature for one in readings if one.gap is None]
        event_rows.close_gaps(self.conn, whole, ["unread", "incomplete"])
        event_rows.close_gaps(self.conn, [one.signature for one in incomplete], ["unread"])


def _change_configuration(readings: Iterable[Reading]) -> bool:
    return any(isinstance(event.event, CONFIG_EVENTS) for one in readings for event in one.events)
