"""The one way into the ledger: every door ends here, once per transaction and event."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine

from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.sources import Commitment, Source


class IngestResult(msgspec.Struct, frozen=True):
    """What one call changed.

    :ivar new_transactions: readings stored for the first time.
    :ivar new_events: events stored for the first time, quarantined ones included.
    :ivar quarantined: those of them that could not be decoded.
    :ivar climbed: readings whose commitment rose.
    :ivar markets: ids of the markets whose projection changed.
    :ivar positions: positions of the frames appended to the stream; after the commit hand
        them to ``store.stream.announce``.
    """

    new_transactions: int = 0
    new_events: int = 0
    quarantined: int = 0
    climbed: int = 0
    markets: frozenset[bytes] = frozenset()
    positions: tuple[int, ...] = ()


def ingest(
    engine_or_conn: Engine | Connection,
    transactions: Sequence[RawTransaction],
    *,
    source: Source,
    commitment: Commitment | str,
    program: Pubkey,
    delivery_id: int | None = None,
) -> IngestResult:
    """Store these readings and project what is new, in one database transaction.

    Exactly once by key: what is there already only climbs. Given an engine (role INGEST)
    it opens and commits the transaction and tries again after a collision with another
    writer; given a connection it works in the caller's transaction, as its last part,
    and the caller commits.

    :param commitment: how settled the source says they are: reported for a webhook,
        confirmed or finalized for a reading by RPC.
    """
    raise NotImplementedError
