"""Repairing markets that differ from the chain's accounts: by reading, never by overwriting.

What the chain lists for a market's account is read and ingested like everything else, and the
market is rebuilt from the ledger. If it still differs then, the next comparison reports it.

A finalized reading may be false although nothing in it says so: a node invented or altered it.
Where a node returns another one, the accounts decide: it supersedes the stored one if the market
agrees with its accounts then, and only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Final, Literal

import msgspec
from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, insert, select

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.signature_listing import from_one_node
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.audit.rebuild import rebuild_projection
from zmart_pipelines.ledger.audit.reconcile import ReconciliationReport, find_differences
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.decode import market_address_bytes
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.ledger.readers.listed_transactions import (
    ingest_in_chunks,
    transactions_to_read,
)
from zmart_pipelines.ledger.readers.rpc_reader import (
    TransactionRef,
    fetch_transactions,
    list_window,
)
from zmart_pipelines.ledger.rows import event_rows
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import chain
from zmart_pipelines.store.tables.reconciliation import repairs

# What to read of a market's transactions.
RepairScope = Literal["missing", "everything"]

# Markets of one repair. If more of them differ, the cause is one that reading cannot fix.
MAX_MARKETS: Final = 20
# Minimum time between two full reads of a market.
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
    """Return the markets of a comparison that reading may repair, and how much to read.

    First only what the ledger does not hold. If that did not help (``drift``), everything, which
    shows whether the ledger holds a finalized reading that the node contradicts. Reading does
    not repair a decoder's error.
    """
    found: dict[bytes, RepairScope] = {}
    for classified in report.actionable:
        market_id = classified.difference.market_id
        if classified.class_ == "drift":
            found[market_id] = "everything"
        elif classified.class_ == "missing_event":
            found.setdefault(market_id, "missing")
    return dict(islice(found.items(), MAX_MARKETS))


def due_repairs(conn: Connection, report: ReconciliationReport) -> dict[bytes, RepairScope]:
    """Return the ``repairable_markets`` that are due.

    Markets that were read in full within ``FULL_READ_INTERVAL`` are left out: what a full read
    did not repair needs an operator.
    """
    found = repairable_markets(report)
    recent = conn.execute(
        select(repairs.c.market_id).where(
            repairs.c.market_id.in_(list(found)),
            repairs.c.scope == "everything",
            repairs.c.repaired_at > func.now() - FULL_READ_INTERVAL,
        )
    ).scalars()
    fully_read = set(recent)
    return {market_id: scope for market_id, scope in found.items() if market_id not in fully_read}


def repair_market(
    engine: Engine, rpc: RpcClient, settings: Settings, market_id: bytes, scope: RepairScope
) -> RepairRecord:
    """Read a market's transactions again, rebuild the market, and record the repair.

    Raises what RpcClient raises; what was ingested before is kept.

    Args:
        engine: acts as INGEST.
    """
    address = market_address_bytes(settings.program, market_id)
    tip = rpc.slot("finalized")
    rows = from_one_node(
        rpc,
        lambda node: list_window(
            node,
            Pubkey(address),
            first_slot=0,
            last_slot=tip,
            commitment="finalized",
            min_context_slot=tip,
            page_size=settings.poll_page_size,
        ),
    ).rows
    refs = (
        transactions_to_read(engine, rows, Commitment.FINALIZED, is_of_program=False)
        if scope == "missing"
        else [TransactionRef.of_listing(row, is_of_program=False) for row in rows]
    )
    answers = fetch_transactions(rpc, settings.program, refs, "finalized")
    ingested = ingest_in_chunks(
        engine, answers, Source.BACKFILL, Commitment.FINALIZED, settings.program
    )
    if ingested.gaps:
        with engine.begin() as conn:
            event_rows.open_gaps(conn, ingested.gaps)
    superseding = IngestResult()
    if ingested.result.ignored and scope == "everything":
        superseding = _supersede_false_readings(engine, rpc, settings, market_id, refs)
    result = ingested.result.merge(superseding)
    rebuilt = rebuild_projection(engine, settings.program, [market_id])
    record = RepairRecord(
        market_id=market_id,
        scope=scope,
        listed=len(rows),
        read=ingested.read,
        unread=len(ingested.unread),
        contradicted=result.ignored,
        new_transactions=result.new_transactions,
        new_events=result.new_events,
        refolded=bool(rebuilt.changed),
    )
    with engine.begin() as conn:
        conn.execute(insert(repairs).values(msgspec.structs.asdict(record)))
    return record


class _AccountsDisagree(Exception):
    """The market differs from its accounts with the other readings as well."""


def _supersede_false_readings(
    engine: Engine,
    rpc: RpcClient,
    settings: Settings,
    market_id: bytes,
    refs: Sequence[TransactionRef],
) -> IngestResult:
    """Replace finalized readings that a node contradicts, if the accounts agree with it."""
    with engine.connect() as conn:
        contradicted = _contradicted_signatures(conn, [ref.signature for ref in refs])
    answers = fetch_transactions(
        rpc, settings.program, [ref for ref in refs if ref.signature in contradicted], "finalized"
    )
    others = [answer for answer in answers if isinstance(answer, RawTransaction)]
    reader = AccountReader(rpc, settings.program)
    market = reader.market(market_id)
    positions = reader.positions(market_id, min_context_slot=market.slot)
    if market.value is None or not others:
        return IngestResult()
    accounts = {market_id: market.value}
    holders = {position.user: position for position in positions.value}
    address = market_address_bytes(settings.program, market_id)
    # The ledger must know everything up to the accounts' slot.
    read_finalized_window(engine, rpc, settings)

    def try_out(conn: Connection, readings: Sequence[RawTransaction]) -> IngestResult:
        result = ingest(
            conn,
            readings,
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=settings.program,
            superseding="its market's accounts agree with another finalized reading only",
        )
        slots = (market.slot, positions.slot)
        if find_differences(
            conn, settings.program, [market_id], accounts, {address: holders}, slots
        ):
            raise _AccountsDisagree
        return result

    # All of them together; or else one may be right and another one false.
    for readings in (others, *([one] for one in others if len(others) > 1)):
        try:
            return run_in_transaction(engine, partial(try_out, readings=readings))
        except _AccountsDisagree:
            continue
    return IngestResult()


def _contradicted_signatures(conn: Connection, signatures: Sequence[bytes]) -> set[bytes]:
    """Return those of which a node returned another reading than the stored one."""
    gaps = chain.gaps
    return set(
        conn.execute(
            select(gaps.c.signature).where(
                gaps.c.signature.in_(signatures),
                gaps.c.kind == "contradictory",
                gaps.c.closed_at.is_(None),
            )
        ).scalars()
    )
