"""Statements that promote and orphan the rows of the ledger (schema ``chain``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from solders.pubkey import Pubkey
from sqlalchemy import Connection, Row

from zmart_pipelines.ledger.model.config_timeline import CONFIG_EVENTS
from zmart_pipelines.ledger.model.decode import Reading
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.rows.event_rows import ReadingKey
from zmart_pipelines.store.engine import execute


class CommitmentChange(NamedTuple):
    """What events with a new commitment or place concern.

    Attributes:
        market_ids: the markets of these events.
        reordered: the markets of these events whose order of events changed.
        configuration: whether the order of the configuration's events changed.
    """

    market_ids: set[bytes]
    reordered: set[bytes]
    configuration: bool

    def merge(self, other: CommitmentChange) -> CommitmentChange:
        """Return the union of both."""
        return CommitmentChange(
            self.market_ids | other.market_ids,
            self.reordered | other.reordered,
            self.configuration or other.configuration,
        )


NO_CHANGE = CommitmentChange(set(), set(), False)


_PROMOTE = """
UPDATE chain.transactions AS t SET
    commitment = greatest(t.commitment, %b::text::chain.commitment),
    sources = t.sources | %b::int2,
    index_in_block = coalesce(sent.index_in_block, t.index_in_block),
    block_time = CASE WHEN t.commitment = 'reported' AND %b::text <> 'reported'
        THEN coalesce(sent.block_time, t.block_time)
        ELSE coalesce(t.block_time, sent.block_time) END,
    fee = CASE WHEN t.commitment = 'reported' AND %b::text <> 'reported'
        THEN coalesce(sent.fee, t.fee) ELSE coalesce(t.fee, sent.fee) END,
    finalized_at = CASE WHEN %b::text = 'finalized' THEN coalesce(t.finalized_at, now())
        ELSE t.finalized_at END,
    confirmed_at = CASE WHEN %b::text <> 'reported' THEN coalesce(t.confirmed_at, now())
        ELSE t.confirmed_at END
FROM unnest(%b::bytea[], %b::bytea[], %b::int4[], %b::int8[], %b::int8[])
    AS sent (signature, digest, index_in_block, block_time, fee)
WHERE t.signature = sent.signature AND t.digest = sent.digest
"""

_PROPAGATE = """
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

_PROPAGATE_TO_PROJECTION = """
UPDATE market.{table} AS p SET commitment = t.commitment
FROM chain.transactions AS t
WHERE t.signature = ANY(%b) AND t.commitment <> 'orphaned'
    AND p.signature = t.signature AND p.commitment <> t.commitment
"""

_CONFIG_EVENTS = frozenset(event.__name__ for event in CONFIG_EVENTS)


def promote_transactions(
    conn: Connection, readings: Sequence[Reading], *, source: Source, commitment: Commitment
) -> None:
    """Promote stored readings to ``commitment`` and fill in what they did not say before.

    What is not part of the digest (block time, fee) a node says better than a webhook.
    """
    execute(
        conn,
        _PROMOTE,
        commitment.value,
        int(source),
        commitment.value,
        commitment.value,
        commitment.value,
        commitment.value,
        [reading.signature for reading in readings],
        [reading.digest for reading in readings],
        [reading.index_in_block for reading in readings],
        [reading.block_time for reading in readings],
        [reading.fee for reading in readings],
    )


def propagate_commitments(conn: Connection, signatures: Collection[bytes]) -> CommitmentChange:
    """Copy the commitment of these transactions to their events and projected rows."""
    if not signatures:
        return NO_CHANGE
    sent = list(signatures)
    rows = execute(conn, _PROPAGATE, sent).all()
    for table in ("trades", "claims", "chain_votes"):
        execute(conn, _PROPAGATE_TO_PROJECTION.format(table=table), sent)
    return _change_from_rows(rows)


def _change_from_rows(rows: Iterable[Row[*tuple[Any, ...]]]) -> CommitmentChange:
    market_ids: set[bytes] = set()
    reordered: set[bytes] = set()
    configuration = False
    for market_id, name, is_reordered in rows:
        if market_id is not None:
            market_ids.add(market_id)
            if is_reordered:
                reordered.add(market_id)
        configuration |= is_reordered and name in _CONFIG_EVENTS
    return CommitmentChange(market_ids, reordered, configuration)


_ORPHAN = """
UPDATE chain.transactions AS t SET commitment = 'orphaned'
FROM unnest(%b::bytea[], %b::bytea[]) AS dropped (signature, digest)
WHERE t.signature = dropped.signature AND t.digest = dropped.digest
    AND t.commitment NOT IN ('orphaned', 'finalized')
RETURNING t.signature, t.digest
"""

_ORPHAN_EVENTS = """
UPDATE chain.events AS e SET commitment = 'orphaned'
FROM unnest(%b::bytea[], %b::bytea[]) AS dropped (signature, digest)
WHERE e.signature = dropped.signature AND e.digest = dropped.digest AND e.commitment <> 'orphaned'
RETURNING e.market_id, e.name, true
"""


def orphan_transactions(
    conn: Connection, keys: Collection[ReadingKey]
) -> tuple[set[bytes], CommitmentChange]:
    """Orphan readings that are not finalized, with their events.

    Returns:
        The signatures that were orphaned, and what their events concern.
    """
    if not keys:
        return set(), NO_CHANGE
    orphaned = execute(conn, _ORPHAN, [key[0] for key in keys], [key[1] for key in keys]).all()
    return _orphan_events(conn, orphaned)


class Supersession(NamedTuple):
    """A finalized reading that gives way to another one.

    Attributes:
        key: the reading that is orphaned.
        superseding: digest of the finalized reading of the same transaction that the caller
            stores before it commits.
        reason: what is wrong with the orphaned one.
    """

    key: ReadingKey
    superseding: bytes
    reason: str


_SUPERSEDE = """
UPDATE chain.transactions AS t SET commitment = 'orphaned',
    superseded_by = dropped.superseding, superseded_reason = dropped.reason
FROM unnest(%b::bytea[], %b::bytea[], %b::bytea[], %b::text[])
    AS dropped (signature, digest, superseding, reason)
WHERE t.signature = dropped.signature AND t.digest = dropped.digest
    AND t.commitment = 'finalized'
RETURNING t.signature, t.digest
"""


def supersede_transactions(
    conn: Connection, superseded: Collection[Supersession]
) -> tuple[set[bytes], CommitmentChange]:
    """Orphan finalized readings, with their events, in favour of others.

    The database refuses the commit if the superseding reading is not stored then, and opens the
    alert.

    Returns:
        As ``orphan_transactions``.
    """
    if not superseded:
        return set(), NO_CHANGE
    orphaned = execute(
        conn,
        _SUPERSEDE,
        [one.key[0] for one in superseded],
        [one.key[1] for one in superseded],
        [one.superseding for one in superseded],
        [one.reason for one in superseded],
    ).all()
    return _orphan_events(conn, orphaned)


def _orphan_events(
    conn: Connection, orphaned: Sequence[Row[*tuple[Any, ...]]]
) -> tuple[set[bytes], CommitmentChange]:
    sent = [[row[0] for row in orphaned], [row[1] for row in orphaned]]
    rows = execute(conn, _ORPHAN_EVENTS, *sent).all()
    return {row[0] for row in orphaned}, _change_from_rows(rows)


_AFFECTED = """
SELECT DISTINCT market_id, CASE WHEN market_id IS NULL THEN data ->> 'market' END,
    name = ANY(%b)
FROM chain.events
WHERE signature = ANY(%b) AND commitment <> 'orphaned' AND quarantine_reason IS NULL
"""


class AffectedState(NamedTuple):
    """What the stored events of some transactions concern.

    Attributes:
        market_ids: the markets of these events.
        addresses: addresses of markets that claims name and that are not known yet.
        configuration: whether any of the events changes the configuration.
    """

    market_ids: set[bytes]
    addresses: set[bytes]
    configuration: bool


def load_affected_state(conn: Connection, signatures: Collection[bytes]) -> AffectedState:
    """Load what the events of these transactions concern, orphaned ones excluded."""
    rows = execute(conn, _AFFECTED, list(_CONFIG_EVENTS), list(signatures)).all()
    return AffectedState(
        {row[0] for row in rows if row[0] is not None},
        {bytes(Pubkey.from_string(row[1])) for row in rows if row[1] is not None},
        any(row[2] for row in rows),
    )


_ASSIGN_CLAIMS = """
UPDATE chain.events AS e SET market_id = known.market_id
FROM unnest(%b::bytea[], %b::text[]) AS known (market_id, address)
WHERE e.market_id IS NULL AND e.name = 'WinningsClaimed' AND e.data ->> 'market' = known.address
RETURNING e.market_id
"""


def assign_claims_to_markets(conn: Connection, addresses: Mapping[bytes, bytes]) -> set[bytes]:
    """Assign claims that were stored before their market to it.

    Args:
        addresses: addresses of new markets, by id.

    Returns:
        The ids of the markets that were assigned any claim.
    """
    if not addresses:
        return set()
    texts = [str(Pubkey(address)) for address in addresses.values()]
    return set(execute(conn, _ASSIGN_CLAIMS, list(addresses), texts).scalars())
