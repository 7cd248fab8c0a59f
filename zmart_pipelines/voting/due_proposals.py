"""Which proposals are due, at the cost of those that changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from zmart_pipelines.program.lifecycle import meets_threshold
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import market as market_tables
from zmart_pipelines.store.tables import voting as tables
from zmart_pipelines.voting import change_queue, tallies, tally_statements
from zmart_pipelines.voting.tallies import Tally
from zmart_pipelines.voting.validation import VOTING_STATE

Since: TypeAlias = Mapping[bytes, datetime]


class ProposalScan(msgspec.Struct, frozen=True):
    """The proposals that are due.

    Attributes:
        passing: Open tallies that reach the minimum of ballots and the threshold.
        frozen: Tallies that are frozen while their market is not approved yet.
    """

    passing: tuple[Tally, ...] = ()
    frozen: tuple[Tally, ...] = ()


def scan_proposals(conn: Connection, settings: Settings) -> ProposalScan:
    """Return the due proposals among those in the change queue.

    A scan costs as much as has changed: a proposal that is not due is dequeued once the caller
    commits, one that is due stays in the queue until it is approved. Under another threshold or
    minimum than the last scan's, every open proposal is enqueued first.

    The threshold is that of the configuration last ingested (none yet: nothing is due); the
    decision to submit reads the chain again.
    """
    threshold = _latest_threshold(conn)
    if threshold is None:
        return ProposalScan()
    _enqueue_under_new_rules(conn, threshold, settings.min_proposal_votes)
    # The tallies are read in a statement after the queue, so that they include every change of it.
    queued = change_queue.pending(conn, "proposal")
    due = _due_among(conn, settings, threshold, queued)
    for tally in (*due.passing, *due.frozen):
        # One entry is enough to find the market again: the oldest, which says since when it is due.
        queued[tally.market_id].pop()
    change_queue.dequeue(conn, [number for numbers in queued.values() for number in numbers])
    return due


def due_proposals_since(conn: Connection, settings: Settings) -> tuple[ProposalScan, Since]:
    """Return the due proposals, and for each market in the change queue its oldest change.

    Nothing is written. While scans are made, that change is the one by which the proposal became
    due, because they dequeue all others; without scans it is the first that none has read.
    """
    threshold = _latest_threshold(conn)
    if threshold is None:
        return ProposalScan(), {}
    since = change_queue.oldest(conn, "proposal")
    return _due_among(conn, settings, threshold, since), since


def _due_among(
    conn: Connection, settings: Settings, threshold: int, market_ids: Collection[bytes]
) -> ProposalScan:
    passing, frozen = [], []
    rows = conn.execute(
        tally_statements.CURRENT, {"market_ids": list(market_ids), "kind": "proposal"}
    ).all()
    for row in rows:
        tally = tallies.tally_of(row)
        if row.state != VOTING_STATE["proposal"]:
            continue
        if tally.status == "frozen":
            frozen.append(tally)
        elif tally.ballots >= settings.min_proposal_votes and meets_threshold(
            tally.votes_for, tally.total, threshold
        ):
            passing.append(tally)
    return ProposalScan(tuple(passing), tuple(frozen))


def _latest_threshold(conn: Connection) -> int | None:
    """Return the approval threshold (basis points) of the configuration last ingested."""
    history = market_tables.config_history.c
    return conn.execute(
        select(history.proposal_approval_threshold)
        .order_by(history.slot.desc(), history.index_in_block.desc(), history.log_index.desc())
        .limit(1)
    ).scalar_one_or_none()


def _enqueue_under_new_rules(conn: Connection, threshold_bps: int, minimum: int) -> None:
    """Enqueue every open proposal when the rules differ from those of the last scan."""
    rules = {"threshold_bps": threshold_bps, "minimum_votes": minimum}
    scans = tables.scans
    row = conn.execute(
        select(scans.c.threshold_bps, scans.c.minimum_votes).where(scans.c.kind == "proposal")
    ).one_or_none()
    if row is not None and row._asdict() == rules:
        return
    conn.execute(tally_statements.ENQUEUE_OPEN_PROPOSALS, {"state": int(VOTING_STATE["proposal"])})
    conn.execute(
        upsert(scans)
        .values(kind="proposal", **rules)
        .on_conflict_do_update(index_elements=["kind"], set_=rules)
    )
