"""Where a batch of readings comes from and how far it is settled."""

from __future__ import annotations

from typing import NamedTuple

from solders.pubkey import Pubkey

from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.rows.event_rows import DeliveryIds


class IngestContext(NamedTuple):
    """What all readings of one ingest have in common.

    Attributes:
        superseding: why complete finalized readings supersede complete finalized ones that
            differ; None: they do not.
    """

    program: Pubkey
    source: Source
    commitment: Commitment
    delivery_ids: DeliveryIds
    superseding: str | None = None
