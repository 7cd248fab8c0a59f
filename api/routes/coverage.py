"""What of the chain the ledger has read, and what is known to be missing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.dependencies import READ_ERRORS, DatabaseDep, Limit, Offset, error_responses
from api.public_text import without_endpoints
from api.requests import pages, query_rules
from zmart_pipelines.client_schemas.formats import base58_signature, iso8601, iso8601_or_none
from zmart_pipelines.store.queries import coverage, health

GapKind = Literal["unread", "unsupported", "contradictory", "incomplete", "inapplicable"]
_SHOWN_INTERVALS = 100


class SlotInterval(msgspec.Struct, frozen=True):
    """Slots from `first_slot` to `last_slot`, inclusive."""

    first_slot: int
    last_slot: int
    slots: int


class OpenGapCount(msgspec.Struct, frozen=True):
    """The open gaps of one kind."""

    kind: GapKind
    gaps: int
    oldest_at: str


class LedgerCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """The slots for which the ledger was proved complete at `finalized`.

    `first_slot` and `last_slot` are the ends of what is covered, `covered_slots` how many slots
    between them are, `percentage` their share. `uncovered` are the newest intervals between them
    (at most 100) that are not, `uncovered_intervals` is the number of all. `confirmed_slot` is the
    last slot of the confirmed poll, which reads ahead of the proof. A gap is a transaction of which
    something is missing although its slot is covered.
    """

    first_slot: int | None
    last_slot: int | None
    covered_slots: int
    percentage: float
    confirmed_slot: int | None
    uncovered_intervals: int
    uncovered: list[SlotInterval]
    open_gaps: int
    gaps_by_kind: list[OpenGapCount]
    oldest_gap_at: str | None


class LedgerGap(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of which something is missing, or was until `closed_at`.

    `unread`: a node lists it, and it could not be read; `unsupported`: its version cannot be
    decoded; `contradictory`: its reading contradicts itself, its listing or a finalized reading;
    `incomplete`: its log is truncated or invalid; `inapplicable`: its event does not follow from
    the state before it.
    """

    id: int
    signature: str
    kind: GapKind
    slot: int | None
    reason: str
    attempts: int
    opened_at: str
    retry_at: str
    closed_at: str | None


class LedgerGapList(msgspec.Struct, frozen=True):
    """A page of gaps, newest first. `count` is the page's."""

    gaps: list[LedgerGap]
    count: int
    limit: int
    offset: int
    next: str | None


@get("/api/coverage", tags=["ledger"], responses=error_responses(400))
async def get_coverage(database: DatabaseDep) -> LedgerCoverage:
    """Get the slots for which the ledger was proved complete, and how many gaps are open."""
    return await database.read(_coverage)


def _coverage(conn: Connection) -> LedgerCoverage:
    found = coverage.coverage_summary(conn)
    uncovered = coverage.uncovered_intervals(conn, limit=_SHOWN_INTERVALS)
    gaps = coverage.open_gaps_by_kind(conn)
    percentage = 0.0
    if found.first_slot is not None and found.last_slot is not None:
        percentage = 100 * found.covered_slots / (found.last_slot - found.first_slot + 1)
    return LedgerCoverage(
        first_slot=found.first_slot,
        last_slot=found.last_slot,
        covered_slots=found.covered_slots,
        percentage=round(percentage, 6),
        confirmed_slot=health.confirmed_slot(conn),
        uncovered_intervals=max(found.ranges - 1, 0),
        uncovered=[
            SlotInterval(row.first_slot, row.last_slot, row.last_slot - row.first_slot + 1)
            for row in uncovered
        ],
        open_gaps=sum(row.gaps for row in gaps),
        gaps_by_kind=[
            OpenGapCount(msgspec.convert(row.kind, GapKind), row.gaps, iso8601(row.oldest_at))
            for row in gaps
        ],
        oldest_gap_at=iso8601_or_none(min((row.oldest_at for row in gaps), default=None)),
    )


@get(
    "/api/coverage/gaps",
    tags=["ledger"],
    responses=READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(coverage.NEWEST_GAPS)),
)
async def list_gaps(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    kind: Annotated[GapKind | None, QueryParameter(description="Only gaps of this kind.")] = None,
    open_: Annotated[
        bool | None,
        QueryParameter(name="open", description="Only open gaps, or only closed ones."),
    ] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[LedgerGapList]:
    """List transactions of which something is missing or was, with the reason; newest first."""
    page = pages.requested(coverage.NEWEST_GAPS, limit, offset, cursor)

    def read(conn: Connection) -> LedgerGapList:
        rows = coverage.find_gaps(
            conn,
            kind=kind,
            is_open=open_,
            after=page.after,
            limit=page.fetch,
            offset=page.offset,
        )
        shown, following = page.cut(rows)
        items = [_gap(row) for row in shown]
        return LedgerGapList(items, len(items), page.limit, page.offset, following)

    body = await database.read(read)
    return pages.response(request, body, body.next)


def _gap(row: coverage.Gap) -> LedgerGap:
    return LedgerGap(
        id=row.id,
        signature=base58_signature(row.signature),
        kind=msgspec.convert(row.kind, GapKind),
        slot=row.slot,
        reason=without_endpoints(row.reason) or "",
        attempts=row.attempts,
        opened_at=iso8601(row.opened_at),
        retry_at=iso8601(row.retry_at),
        closed_at=iso8601_or_none(row.closed_at),
    )


HANDLERS = [get_coverage, list_gaps]
