"""Repairing markets that differ from the chain's accounts: by reading, never by overwriting.

What the chain lists for a market's account is read and ingested like everything else, and the
market is folded anew from the ledger. If it still differs then, the next comparison says so.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import Final, Literal

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, insert, select

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.audit.rebuild import rebuild_projection
from zmart_pipelines.ledger.audit.reconcile import ReconciliationReport
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers.poll import CHUNK, transactions_to_read
from zmart_pipelines.ledger.readers.rpc_reader import (
    UnreadTransaction,
    fetch_transactions,
    list_window,
)
from zmart_pipelines.ledger.rows import event_rows
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.stream import announce
from zmart_pipelines.store.tables.reconciliation import repairs

RepairScope = Literal["missing", "everything"]

# Markets of one repair: where more differ, something is wrong that reading does not mend.
MAX_MARKETS: Final = 20
# Until a market that was read whole in vain is read whole again.
FULL_READ_INTERVAL: Final = timedelta(hours=6)


class RepairRecord(msgspec.Struct, frozen=True):
    """What was done for one market; the fields are the columns of ``ops.repairs``."""

    market_id: bytes
    scope: RepairScope
    listed: int
    read: int
    unread: int
    contradicted: int
    new_transactions: int
    new_events: int
    refolded: bool


def repairable_markets(report: ReconciliationReport) -> dict[bytes, RepairScope]:
    """The markets of a comparison that reading may mend, and how much to read.

    At first what the ledger does not hold. If that did not help (``drift``), everything, which
    shows whether the ledger holds a finalized reading that the node contradicts. A decoder's
    error is not mended by reading.
    """
    found: dict[bytes, RepairScope] = {}
    for drift in report.serious:
        if drift.class_ == "drift":
            found[drift.difference.market_id] = "everything"
        elif drift.class_ == "missing_event":
            found.setdefault(drift.difference.market_id, "missing")
    return dict(islice(found.items(), MAX_MARKETS))


def due_repairs(conn: Connection, report: ReconciliationReport) -> dict[bytes, RepairScope]:
    """What of ``wanted`` is to be read now: nothing that was read whole within ``PAUSE``, since
    what that did not mend, somebody must look at."""
    found = repairable_markets(report)
    lately = conn.execute(
        select(repairs.c.market_id).where(
            repairs.c.market_id.in_(list(found)),
            repairs.c.scope == "everything",
            repairs.c.repaired_at > func.now() - FULL_READ_INTERVAL,
        )
    ).scalars()
    read = set(lately)
    return {market_id: scope for market_id, scope in found.items() if market_id not in read}


def repair_market(
    engine: Engine, rpc: RpcClient, settings: Settings, market_id: bytes, scope: RepairScope
) -> RepairRecord:
    """Read a market's transactions again, fold the market anew, and record the repair.

    Raises what RpcClient raises; what was ingested until then stays.

    :param engine: acts as INGEST.
    """
    address = market_address_bytes(settings.program, market_id)
    tip = rpc.slot("finalized")
    rows, _ = list_window(
        rpc,
        Pubkey(address),
        first_slot=0,
        last_slot=tip,
        commitment="finalized",
        min_context_slot=tip,
        page_size=settings.poll_page_size,
    )
    chosen = (
        transactions_to_read(engine, rows, Commitment.FINALIZED)
        if scope == "missing"
        else [(row.signature, row.slot, row.index_in_block) for row in rows]
    )
    result = IngestResult()
    unread: list[UnreadTransaction] = []
    answers = fetch_transactions(rpc, settings.program, chosen, "finalized")
    while chunk := list(islice(answers, CHUNK)):
        found = [one for one in chunk if isinstance(one, RawTransaction)]
        unread += [one for one in chunk if isinstance(one, UnreadTransaction)]
        taken = ingest(
            engine,
            found,
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=settings.program,
        )
        announce(settings.redis_url.get_secret_value(), taken.positions)
        result = result.merge(taken)
    gaps = [event_rows.Gap(one.signature, "unread", one.slot, one.reason) for one in unread]
    if gaps:
        with engine.begin() as conn:
            event_rows.open_gaps(conn, gaps)
    folded = rebuild_projection(engine, settings.program, [market_id])
    done = RepairRecord(
        market_id=market_id,
        scope=scope,
        listed=len(rows),
        read=len(chosen) - len(unread),
        unread=len(unread),
        contradicted=result.ignored,
        new_transactions=result.new_transactions,
        new_events=result.new_events,
        refolded=bool(folded.changed),
    )
    with engine.begin() as conn:
        conn.execute(insert(repairs).values(msgspec.structs.asdict(done)))
    return done
