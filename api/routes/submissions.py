"""What this system submits to the chain: intents, and the transactions that tried."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import PathParameter, QueryParameter
from sqlalchemy import Connection

from api.dependencies import DatabaseDep, Limit, Offset, error_responses
from api.errors import not_found
from api.markets.lookup import require_market_id
from api.public_text import without_endpoints
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas.formats import base58_signature, iso8601, iso8601_or_none
from zmart_pipelines.store.queries import submissions
from zmart_pipelines.submissions.statuses import Action, AttemptStatus, IntentStatus


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """An intent: what must become true on chain, once per market, action and round.

    `status`: `planned` waits to be signed; `live` has a transaction that may still land; `final` is
    true on chain, at finalized; `superseded`: something else became true; `failed` and
    `quarantined` need an operator. `signature` and `landed_slot` are those of the transaction that
    is final, else of the last one; `fees` is what all of them cost, in lamports. `due_at` is when
    the decision became due, `planned_at` when it was made, `final_at` when its transaction was seen
    as finalized; `seconds_to_final` is the time from `due_at` to `final_at`. `bundle_cid` is the
    ballot bundle behind a tally.
    """

    id: int
    market_id: str
    question: str | None
    action: Action
    round: int
    status: IntentStatus
    reason: str | None
    bundle_cid: str | None
    attempts: int
    failures: int
    signature: str | None
    landed_slot: int | None
    fees: int
    due_at: str
    planned_at: str
    retry_at: str
    updated_at: str
    final_at: str | None
    seconds_to_final: float | None


class SubmissionAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One signed transaction that tried; stored before it is first sent.

    At most one attempt per market may still land at a time. `fee` is in lamports, `sends` is how
    often the same bytes were sent.
    """

    id: int
    signature: str
    status: AttemptStatus
    error: str | None
    sends: int
    last_valid_block_height: int
    landed_slot: int | None
    fee: int | None
    compute_units: int | None
    signed_at: str
    sent_at: str | None
    settled_at: str | None


class SubmissionDetail(Submission, frozen=True, kw_only=True):
    """An intent with the arguments of its instruction and its transactions, newest first."""

    arguments: dict[str, Any]
    transactions: list[SubmissionAttempt]


class SubmissionList(msgspec.Struct, frozen=True):
    """A page of intents, newest first. `count` is the page's."""

    submissions: list[Submission]
    count: int
    limit: int
    offset: int
    next: str | None


@get(
    "/api/submissions",
    tags=["submissions"],
    responses=error_responses(400, 404),
    response_headers=[pages.LINK],
    opt=query_rules.stated(
        query_rules.parsed(identifiers.market_key, "market"), pages.rule(submissions.NEWEST)
    ),
)
async def list_submissions(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: Annotated[str | None, QueryParameter(description="Id or address of a market.")] = None,
    action: Annotated[
        list[Action] | None, QueryParameter(max_items=5, description="May be repeated.")
    ] = None,
    status: Annotated[
        list[IntentStatus] | None, QueryParameter(max_items=6, description="May be repeated.")
    ] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[SubmissionList]:
    """List what was decided to be submitted to the chain, newest first."""
    page = pages.requested(submissions.NEWEST, limit, offset, cursor)
    key = None if market is None else identifiers.market_key(market, "market")

    def read(conn: Connection) -> SubmissionList:
        wanted = submissions.IntentFilter(
            market_id=None if key is None else require_market_id(conn, key),
            actions=tuple(action or ()),
            statuses=tuple(status or ()),
        )
        rows = submissions.find_intents(
            conn, wanted, after=page.after, limit=page.fetch, offset=page.offset
        )
        shown, following = page.cut(rows)
        items = [Submission(**_fields(row)) for row in shown]
        return SubmissionList(items, len(items), page.limit, page.offset, following)

    body = await database.read(read)
    return pages.response(request, body, body.next)


@get("/api/submissions/{intent:int}", tags=["submissions"], responses=error_responses(400, 404))
async def get_submission(
    database: DatabaseDep,
    intent: Annotated[int, PathParameter(description="The intent's number.")],
) -> SubmissionDetail:
    """Get an intent with all transactions that were signed for it."""

    def read(conn: Connection) -> SubmissionDetail:
        wanted = submissions.IntentFilter(intent_id=intent)
        # No row has a number outside of BIGINT, and Postgres takes none.
        rows = submissions.find_intents(conn, wanted) if 0 < intent < 2**63 else []
        if not rows:
            raise not_found("Submission")
        return SubmissionDetail(
            **_fields(rows[0]),
            arguments=rows[0].arguments,
            transactions=[_attempt(row) for row in submissions.attempts(conn, intent_id=intent)],
        )

    return await database.read(read)


def _fields(row: submissions.IntentSummary) -> dict[str, Any]:
    seconds = None
    if row.final_at is not None:
        seconds = round((row.final_at - row.due_at).total_seconds(), 3)
    return {
        "id": row.id,
        "market_id": row.market_id.hex(),
        "question": row.question,
        "action": row.action,
        "round": row.round,
        "status": row.status,
        "reason": without_endpoints(row.reason),
        "bundle_cid": row.bundle_cid,
        "attempts": row.attempts,
        "failures": row.failures,
        "signature": None if row.signature is None else base58_signature(row.signature),
        "landed_slot": row.landed_slot,
        "fees": row.fees,
        "due_at": iso8601(row.due_at),
        "planned_at": iso8601(row.created_at),
        "retry_at": iso8601(row.retry_at),
        "updated_at": iso8601(row.updated_at),
        "final_at": iso8601_or_none(row.final_at),
        "seconds_to_final": seconds,
    }


def _attempt(row: submissions.Attempt) -> SubmissionAttempt:
    return SubmissionAttempt(
        id=row.id,
        signature=base58_signature(row.signature),
        status=msgspec.convert(row.status, AttemptStatus),
        error=without_endpoints(row.error),
        sends=row.sends,
        last_valid_block_height=row.last_valid_block_height,
        landed_slot=row.landed_slot,
        fee=row.fee,
        compute_units=row.compute_units,
        signed_at=iso8601(row.signed_at),
        sent_at=iso8601_or_none(row.sent_at),
        settled_at=iso8601_or_none(row.settled_at),
    )


HANDLERS = [list_submissions, get_submission]
