"""Which proposals may be due, at the cost of those that changed."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from zmart_pipelines.program.lifecycle import meets_threshold
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables import market as market_tables
from zmart_pipelines.store.tables import voting as tables
from zmart_pipelines.voting import change_queue, tallies, tally_statements
from zmart_pipelines.voting.ballot import Kind
from zmart_pipelines.voting.tallies import Tally
from zmart_pipelines.voting.validation import VOTING_STATE


class ProposalScan(msgspec.Struct, frozen=True):
    """What a look at the proposals with news found: those whose ballots suffice, and those
    whose counts are fixed but that are not approved yet.
    """

    due: tuple[Tally, ...] = ()
    frozen: tuple[Tally, ...] = ()


def due(conn: Connection, settings: Settings) -> list[Tally]:
    """Open proposal tallies that reach the least number of ballots and the threshold."""
    return list(scan_proposals(conn, settings).due)


def scan_proposals(conn: Connection, settings: Settings) -> ProposalScan:
    """Looks at the proposals with news since they were last looked at, so that it costs as
    much as there is news. Under another threshold or minimum it looks at all.

    The threshold is that of the configuration last seen by the ledger (none seen: nothing
    is due); the decision itself reads the chain again. News of a market that asks for
    nothing are done with once the caller commits; where it rolls back they are seen again.
    """
    history = market_tables.config_history
    threshold = conn.execute(
        select(history.c.proposal_approval_threshold)
        .order_by(
            history.c.slot.desc(), history.c.index_in_block.desc(), history.c.log_index.desc()
        )
        .limit(1)
    ).scalar_one_or_none()
    if threshold is None:
        return ProposalScan()
    rules = {"threshold_bps": threshold, "minimum_votes": settings.min_proposal_votes}
    if _last_scan_rules(conn) != rules:
        conn.execute(
            tally_statements.ENQUEUE_OPEN_PROPOSALS, {"state": int(VOTING_STATE["proposal"])}
        )
        conn.execute(
            upsert(tables.scans)
            .values(kind="proposal", **rules)
            .on_conflict_do_update(index_elements=["kind"], set_=rules)
        )
    # The tallies in a statement after the news, so that what was news is in them.
    found = change_queue.pending(conn, "proposal")
    passed, fixed = [], []
    for row in conn.execute(
        tally_statements.CURRENT, {"market_ids": list(found), "kind": "proposal"}
    ).all():
        tally = tallies.tally_of(row)
        if row.state != VOTING_STATE["proposal"]:
            continue
        if tally.status == "frozen":
            fixed.append(tally)
        elif tally.ballots >= settings.min_proposal_votes and meets_threshold(
            tally.votes_for, tally.total, threshold
        ):
            passed.append(tally)
        else:
            continue
        # One is enough to come back to.
        found[tally.market_id].pop()
    change_queue.dequeue(conn, [number for numbers in found.values() for number in numbers])
    return ProposalScan(tuple(passed), tuple(fixed))


def recount_changed(conn: Connection, kind: Kind, also: Iterable[bytes] = ()) -> list[Tally]:
    """Counts the open votes with news, and those of the markets ``also`` named, anew from the
    stored ballots. What is news of disputes is done with once the caller commits; that of
    proposals is for :func:`look`.
    """
    found = change_queue.pending(conn, kind)
    counted = [
        _recounted(conn, tally)
        for tally in tallies.current_tallies(conn, [*found, *also], kind).values()
        if tally.status == "open"
    ]
    if kind == "dispute":
        change_queue.dequeue(conn, [number for numbers in found.values() for number in numbers])
    return counted


def _recounted(conn: Connection, tally: Tally) -> Tally:
    try:
        return tallies.recount_tally(conn, tally.market_id, tally.kind, tally.round)
    except KeyError:  # votes on chain alone: there is no row, and nothing stored to count
        return tally


def _last_scan_rules(conn: Connection) -> dict[str, int] | None:
    scans = tables.scans.c
    row = conn.execute(
        select(scans.threshold_bps, scans.minimum_votes).where(scans.kind == "proposal")
    ).one_or_none()
    return None if row is None else row._asdict()
