"""Acts of operators that read or fold the ledger again, in transactions of their own.

Each is recorded before it begins, because it may take hours and commits as it goes. All can be
repeated: what is right already is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import Engine

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ledger.audit.rebuild import RebuildReport, rebuild_projection
from zmart_pipelines.ledger.audit.redecode import RedecodeReport, redecode_quarantined
from zmart_pipelines.ledger.readers.backfill import BackfillProgress, BackfillReport, backfill
from zmart_pipelines.ledger.readers.deliveries import ProcessedDelivery, process_delivery
from zmart_pipelines.operations.operator_acts import ActRefused
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.audit import Operator


def record(
    ingest: Engine,
    by: Operator,
    action: str,
    subject: str | None = None,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record an act in a transaction of its own."""
    with ingest.begin() as conn:
        by.record(conn, action, subject, reason, details)


def redeliver(
    ingest: Engine, by: Operator, delivery: int, reason: str, *, program: Pubkey
) -> ProcessedDelivery:
    """Ingest a stored webhook delivery again.

    Raises:
        ActRefused: There is no such delivery; it may be past its retention.
    """
    record(ingest, by, "redeliver", str(delivery), reason)
    try:
        return process_delivery(ingest, delivery, program=program)
    except KeyError as error:
        raise ActRefused(
            f"there is no delivery {delivery}; it may be past its retention"
        ) from error


def read_range(
    ingest: Engine,
    by: Operator,
    rpc: RpcClient,
    settings: Settings,
    slots: tuple[int, int],
    reason: str,
    progress: Callable[[BackfillProgress], None] = lambda _: None,
) -> BackfillReport:
    """Backfill the slots from the first to the last, inclusive.

    Raises:
        ValueError: The range is not valid.
    """
    first, last = slots
    record(ingest, by, "backfill", f"{first}-{last}", reason)
    return backfill(ingest, rpc, settings, first_slot=first, last_slot=last, progress=progress)


def rebuild(
    ingest: Engine,
    by: Operator,
    program: Pubkey,
    markets: Sequence[bytes] | None,
    reason: str,
    progress: Callable[[int, int], None] | None = None,
) -> RebuildReport:
    """Fold the projection of the markets again from the ledger; None: of all."""
    named = None if markets is None else [market.hex() for market in markets]
    record(ingest, by, "rebuild", reason=reason, details={"markets": named})
    return rebuild_projection(ingest, program, markets, progress=progress)


def redecode(ingest: Engine, by: Operator, program: Pubkey, reason: str) -> RedecodeReport:
    """Decode every quarantined event again."""
    record(ingest, by, "redecode", reason=reason)
    return redecode_quarantined(ingest, program)
