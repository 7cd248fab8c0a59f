"""The statements that write and read the ledger's own rows (schema ``chain``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Row

from zmart_pipelines.ledger.decode import LedgerEvent, Reading, readable
from zmart_pipelines.ledger.sources import Commitment, Source
from zmart_pipelines.ledger.timeline import CONFIG_EVENTS
from zmart_pipelines.program.events import event_name
from zmart_pipelines.store.bulk import insert_rows
from zmart_pipelines.store.engine import execute
from zmart_pipelines.store.tables import chain

Key = tuple[bytes, bytes]  # signature, digest


class Live(NamedTuple):
    """The reading of a transaction that counts now."""

    digest: bytes
    commitment: Commitment
    sources: Source
    slot: int
    index_in_block: int | None


_LIVE = """
SELECT signature, digest, commitment::text, sources, slot, index_in_block
FROM chain.transactions
WHERE signature = ANY(%b) AND commitment <> 'orphaned'
ORDER BY signature
FOR NO KEY UPDATE
"""


def live(conn: Connection, signatures: Collection[bytes]) -> dict[bytes, Live]:
    """The readings that count, by signature, held until the transaction ends."""
    rows = execute(conn, _LIVE, list(signatures))
    return {
        row[0]: Live(row[1], Commitment(row[2]), Source(row[3]), row[4], row[5]) for row in rows
    }


# An orphan comes back when RPC shows it again; a webhook cannot bring it back.
_INSERT_TAIL = """
ON CONFLICT (signature, digest) DO UPDATE SET
    commitment = excluded.commitment,
    sources = transactions.sources | excluded.sources,
    finalized_at = excluded.finalized_at
WHERE transactions.commitment = 'orphaned' AND excluded.commitment >= 'confirmed'
RETURNING signature, xmax = 0
"""


def insert_transactions(
    conn: Connection,
    readings: Iterable[Reading],
    *,
    source: Source,
    commitment: Commitment,
    delivery_id: int | None,
) -> dict[bytes, bool]:
    """Store readings; of each that counts now, whether it is new (else: no orphan any more).

    Readings that are absent from the answer were stored by another writer just now, or are
    orphans that only a webhook still tells of.
    """
    now = datetime.now(UTC)
    rows = [
        {
            "signature": reading.signature,
            "digest": reading.digest,
            "slot": reading.slot,
            "index_in_block": reading.index_in_block,
            "block_time": reading.block_time,
            "failed": reading.failed,
            "error": reading.error,
            "fee": reading.fee,
            "logs": reading.logs,
            "logs_truncated": reading.logs_truncated,
            "instructions": reading.instructions,
            "commitment": commitment.value,
            "sources": int(source),
            "delivery_id": delivery_id,
            "finalized_at": now if commitment is Commitment.FINALIZED else None,
        }
        for reading in sorted(readings, key=lambda reading: reading.signature)
    ]
    stored = insert_rows(conn, chain.transactions, rows, _INSERT_TAIL)
    return {row[0]: row[1] for row in stored}


def insert_events(
    conn: Connection,
    readings: Iterable[Reading],
    *,
    commitment: Commitment,
    market_ids: Mapping[bytes, bytes],
) -> int:
    """Store the events of new readings; return how many there were.

    :param market_ids: ids of markets by address, for claims, which name only the address.
    """
    rows = [
        _event_row(reading, event, commitment, market_ids)
        for reading in readings
        for event in reading.events
    ]
    insert_rows(conn, chain.events, rows)
    return len(rows)


def _event_row(
    reading: Reading,
    event: LedgerEvent,
    commitment: Commitment,
    market_ids: Mapping[bytes, bytes],
) -> dict[str, object]:
    decoded = event.event
    market_id = event.market_id
    if market_id is None and event.market is not None:
        market_id = market_ids.get(event.market)
    return {
        "signature": reading.signature,
        "log_index": event.log_index,
        "digest": reading.digest,
        "slot": reading.slot,
        "index_in_block": reading.index_in_block,
        "name": None if decoded is None else event_name(decoded),
        "market_id": market_id,
        "raw": event.raw,
        "data": None if decoded is None else readable(decoded).decode(),
        "instruction": event.instruction,
        "quarantine_reason": event.quarantine_reason,
        "commitment": commitment.value,
    }


class Moved(NamedTuple):
    """Events whose commitment or place changed."""

    market_ids: set[bytes]
    replaced: set[bytes]  # those of them whose events changed their order
    configuration: bool  # whether events of the configuration changed their order or left

    def with_(self, other: Moved) -> Moved:
        """Both together."""
        return Moved(
            self.market_ids | other.market_ids,
            self.replaced | other.replaced,
            self.configuration or other.configuration,
        )


NOTHING_MOVED = Moved(set(), set(), False)


_CLIMB = """
UPDATE chain.transactions AS t SET
    commitment = greatest(t.commitment, %b::text::chain.commitment),
    sources = t.sources | %b::int2,
    index_in_block = coalesce(sent.index_in_block, t.index_in_block),
    block_time = coalesce(t.block_time, sent.block_time),
    finalized_at = CASE WHEN %b::text = 'finalized' THEN coalesce(t.finalized_at, now())
        ELSE t.finalized_at END
FROM unnest(%b::bytea[], %b::bytea[], %b::int4[], %b::int8[])
    AS sent (signature, digest, index_in_block, block_time)
WHERE t.signature = sent.signature AND t.digest = sent.digest
"""

_SPREAD = """
UPDATE chain.events AS e SET commitment = t.commitment, index_in_block = t.index_in_block
FROM chain.transactions AS t, chain.events AS before
WHERE t.signature = ANY(%b) AND t.commitment <> 'orphaned'
    AND e.signature = t.signature AND e.digest = t.digest
    AND before.signature = e.signature AND before.digest = e.digest
    AND before.log_index = e.log_index
    AND (e.commitment, e.index_in_block) IS DISTINCT FROM (t.commitment, t.index_in_block)
RETURNING e.market_id, e.name,
    before.index_in_block IS DISTINCT FROM e.index_in_block OR before.commitment = 'orphaned'
"""

_SPREAD_TRADES = """
UPDATE market.{table} AS p SET commitment = t.commitment
FROM chain.transactions AS t
WHERE t.signature = ANY(%b) AND t.commitment <> 'orphaned'
    AND p.signature = t.signature AND p.commitment <> t.commitment
"""

_CONFIG_EVENTS = frozenset(event.__name__ for event in CONFIG_EVENTS)


def climb(
    conn: Connection, readings: Sequence[Reading], *, source: Source, commitment: Commitment
) -> None:
    """Raise stored readings to ``commitment`` and fill in what they tell anew."""
    execute(
        conn,
        _CLIMB,
        commitment.value,
        int(source),
        commitment.value,
        [reading.signature for reading in readings],
        [reading.digest for reading in readings],
        [reading.index_in_block for reading in readings],
        [reading.block_time for reading in readings],
    )


def spread(conn: Connection, signatures: Collection[bytes]) -> Moved:
    """Bring the events and projected rows of these transactions to their commitment."""
    if not signatures:
        return NOTHING_MOVED
    sent = list(signatures)
    rows = execute(conn, _SPREAD, sent).all()
    for table in ("trades", "claims", "chain_votes"):
        execute(conn, _SPREAD_TRADES.format(table=table), sent)
    return _moved(rows)


def _moved(rows: Iterable[Row[*tuple[Any, ...]]]) -> Moved:
    market_ids: set[bytes] = set()
    replaced: set[bytes] = set()
    configuration = False
    for market_id, name, reordered in rows:
        if market_id is not None:
            market_ids.add(market_id)
            if reordered:
                replaced.add(market_id)
        configuration |= reordered and name in _CONFIG_EVENTS
    return Moved(market_ids, replaced, configuration)


_ORPHAN = """
UPDATE chain.transactions AS t SET commitment = 'orphaned'
FROM unnest(%b::bytea[], %b::bytea[]) AS gone (signature, digest)
WHERE t.signature = gone.signature AND t.digest = gone.digest
    AND t.commitment NOT IN ('orphaned', 'finalized')
RETURNING t.signature, t.digest
"""

_ORPHAN_EVENTS = """
UPDATE chain.events AS e SET commitment = 'orphaned'
FROM unnest(%b::bytea[], %b::bytea[]) AS gone (signature, digest)
WHERE e.signature = gone.signature AND e.digest = gone.digest AND e.commitment <> 'orphaned'
RETURNING e.market_id, e.name, true
"""


def orphan(conn: Connection, keys: Collection[Key]) -> tuple[set[bytes], Moved]:
    """Take readings out of what counts; which signatures went, and what they touched."""
    if not keys:
        return set(), NOTHING_MOVED
    sent = [[key[0] for key in keys], [key[1] for key in keys]]
    gone = execute(conn, _ORPHAN, *sent).all()
    sent = [[row[0] for row in gone], [row[1] for row in gone]]
    rows = execute(conn, _ORPHAN_EVENTS, *sent).all()
    return {row[0] for row in gone}, _moved(rows)


_CONCERNED = """
SELECT DISTINCT market_id, CASE WHEN market_id IS NULL THEN data ->> 'market' END,
    name = ANY(%b)
FROM chain.events
WHERE signature = ANY(%b) AND commitment <> 'orphaned' AND quarantine_reason IS NULL
"""


class Concerned(NamedTuple):
    """What stored events of some transactions concern."""

    market_ids: set[bytes]
    addresses: set[bytes]  # of claims whose market is not known
    configuration: bool


def concerned(conn: Connection, signatures: Collection[bytes]) -> Concerned:
    """What the events that count of these transactions concern."""
    rows = execute(conn, _CONCERNED, list(_CONFIG_EVENTS), list(signatures)).all()
    return Concerned(
        {row[0] for row in rows if row[0] is not None},
        {bytes(Pubkey.from_string(row[1])) for row in rows if row[1] is not None},
        any(row[2] for row in rows),
    )


_ADOPT = """
UPDATE chain.events AS e SET market_id = known.market_id
FROM unnest(%b::bytea[], %b::text[]) AS known (market_id, address)
WHERE e.market_id IS NULL AND e.name = 'WinningsClaimed' AND e.data ->> 'market' = known.address
RETURNING e.market_id
"""


def adopt_claims(conn: Connection, addresses: Mapping[bytes, bytes]) -> set[bytes]:
    """Give claims that came before their market its id; the ids of markets that got any.

    :param addresses: of new markets, by id.
    """
    if not addresses:
        return set()
    texts = [str(Pubkey(address)) for address in addresses.values()]
    return set(execute(conn, _ADOPT, list(addresses), texts).scalars())


_OPEN_GAPS = """
INSERT INTO chain.gaps (signature, kind, slot, reason)
SELECT * FROM unnest(%b::bytea[], %b::text[], %b::int8[], %b::text[])
ON CONFLICT (signature, kind) WHERE closed_at IS NULL
DO UPDATE SET reason = excluded.reason, attempts = gaps.attempts + 1,
    retry_at = now() + least(interval '1 hour', interval '5 seconds' * 2 ^ least(gaps.attempts, 12))
"""

_CLOSE_GAPS = """
UPDATE chain.gaps SET closed_at = now()
WHERE signature = ANY(%b) AND kind = ANY(%b) AND closed_at IS NULL
"""


class Gap(msgspec.Struct, frozen=True):
    """Something known to be missing (kinds: ``store.tables.chain.gaps``)."""

    signature: bytes
    kind: str
    slot: int | None
    reason: str


def open_gaps(conn: Connection, gaps: Iterable[Gap]) -> None:
    """Record gaps; one that is open already counts another attempt and waits longer."""
    rows = sorted(
        {(gap.signature, gap.kind): gap for gap in gaps}.values(),
        key=lambda gap: (gap.signature, gap.kind),
    )
    if rows:
        execute(
            conn,
            _OPEN_GAPS,
            [gap.signature for gap in rows],
            [gap.kind for gap in rows],
            [gap.slot for gap in rows],
            [gap.reason for gap in rows],
        )


def close_gaps(conn: Connection, signatures: Collection[bytes], kinds: Collection[str]) -> None:
    """Close the open gaps of these kinds of these transactions."""
    if signatures:
        execute(conn, _CLOSE_GAPS, list(signatures), list(kinds))
