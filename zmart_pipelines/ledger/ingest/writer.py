"""The one way into the ledger: every source ends here, each transaction and event once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest import fast_path
from zmart_pipelines.ledger.ingest.context import IngestContext
from zmart_pipelines.ledger.ingest.general_path import GeneralIngest
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.model.decode import Reading, decode
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.rows.event_rows import DeliveryIds

# A database transaction holds one lock per market; a larger batch belongs in several.
MAX_BATCH: Final = 1000


def ingest(
    conn: Connection,
    transactions: Sequence[RawTransaction],
    *,
    source: Source,
    commitment: Commitment | str,
    program: Pubkey,
    delivery_ids: DeliveryIds = None,
    superseding: str | None = None,
) -> IngestResult:
    """Store readings of these transactions and project what is new.

    Works in the caller's transaction, as its last part; ``transaction.run_in_transaction``
    commits it and retries it after a collision with another writer.

    A reading is stored exactly once by its key: a stored one is only promoted. A reading that
    contradicts the stored one of the same transaction (the transaction landed in another slot,
    or the first report was false) replaces it if it is at least as well settled and at least as
    complete; the other is orphaned. A finalized reading gives way only to a finalized one, and
    only if it is incomplete and the other is not, or where ``superseding`` says so.

    Args:
        conn: acts as INGEST.
        transactions: at most ``MAX_BATCH``.
        commitment: how settled the source says they are: reported for a webhook, confirmed
            or finalized for a reading by RPC.
        delivery_ids: the webhook deliveries that reported them.
        superseding: why these finalized readings supersede finalized ones that differ, although
            those are complete: the accounts agree with these only.

    Raises:
        ConcurrentWriteError: the transaction must be rolled back and retried.
    """
    if len(transactions) > MAX_BATCH:
        raise ValueError(f"at most {MAX_BATCH} transactions at once, not {len(transactions)}")
    context = IngestContext(program, source, Commitment(commitment), delivery_ids, superseding)
    decoded = (decode(transaction, program) for transaction in transactions)
    by_signature = {reading.signature: reading for reading in decoded}
    accepted = [reading for reading in by_signature.values() if _is_acceptable(reading, source)]
    ignored = IngestResult(ignored=len(by_signature) - len(accepted))
    if not accepted:
        return ignored
    result = fast_path.ingest_in_order(conn, accepted, context)
    if result is None:
        result = GeneralIngest(conn, context).run(accepted)
    return ignored.merge(result)


def _is_acceptable(reading: Reading, source: Source) -> bool:
    """Whether the reading concerns the program; a webhook may report nothing else."""
    return reading.concerns_program or source is not Source.WEBHOOK
