"""Reports of comments, and what operators do about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import JSONBody
from sqlalchemy import Connection

from api import comments
from api.database import Database
from api.dependencies import (
    CallerDep,
    CommentPath,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    WritesDep,
    error_responses,
)
from api.errors import not_found
from api.identity.auth import AuthorizedWrite
from api.identity.caller import Caller, require_operator
from api.identity.operators import operator_of
from api.identity.writes import Writes
from api.markets.lookup import require_market_id
from api.openapi.security import OPERATOR, PERMITTED
from api.requests import identifiers, pages, query_rules, user_text
from api.requests.bodies import Moderation, NewReport, OlderReport, SignedBody
from api.routes.discussions import WRITE_ERRORS, ChangedComment
from zmart_pipelines.client_schemas import community, formats
from zmart_pipelines.store import audit
from zmart_pipelines.store.queries import comment_reports, discussions

_OPERATOR_ERRORS = error_responses(400, 401, 403, 404, 413, 415)


class StoredReport(msgspec.Struct, frozen=True):
    """The confirmation of a report. `repeated` where the wallet had reported the comment before."""

    message: str
    discussion_id: str
    repeated: bool


class Report(msgspec.Struct, frozen=True):
    """A report of a comment, with the comment's text even where it is deleted or hidden."""

    discussion_id: str
    market_id: str
    author: str
    content: str
    is_deleted: bool
    is_hidden: bool
    reporter: str
    reason: str
    note: str
    created_at: str


class ReportList(msgspec.Struct, frozen=True):
    """A page of reports."""

    reports: list[Report]
    count: int
    offset: int
    limit: int
    next: str | None


@post(
    "/api/discussions/{discussion:str}/report",
    tags=["discussions"],
    status_code=200,
    responses=WRITE_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def report_discussion(
    writes: WritesDep, discussion: CommentPath, data: JSONBody[NewReport]
) -> StoredReport:
    """Report a comment to operators, once per wallet."""
    note = user_text.note(data.note)
    return await _report(writes, data, discussion, data.reason, note)


@post(
    "/api/markets/{market:str}/discussions/{discussion:str}/flag",
    tags=["discussions"],
    status_code=200,
    responses=WRITE_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def flag_discussion(
    writes: WritesDep,
    market: MarketPath,
    discussion: CommentPath,
    data: JSONBody[OlderReport | None] = None,
) -> StoredReport:
    """Report a comment of this market to operators: an older path."""
    note = user_text.note(data.reason) if data and data.reason else ""
    return await _report(writes, data, discussion, "other", note, market)


async def _report(
    writes: Writes,
    body: SignedBody | None,
    discussion: str,
    reason: str,
    note: str,
    market: str | None = None,
) -> StoredReport:
    comment_id = identifiers.comment_id(discussion)
    key = None if market is None else identifiers.market_key(market, "market")

    def store(conn: Connection, permit: AuthorizedWrite) -> StoredReport:
        comment = discussions.get(conn, comment_id)
        if comment is None or (
            key is not None and require_market_id(conn, key) != comment.market_id
        ):
            raise not_found("Discussion")
        is_new = comments.report(conn, comment_id, permit.wallet, reason, note)
        return StoredReport("Discussion reported", str(comment_id), not is_new)

    return await writes.perform(body, "report-comment", str(comment_id), StoredReport, store)


@get(
    "/api/discussions/reports",
    tags=["discussions"],
    responses=error_responses(400, 401, 403),
    response_headers=[pages.LINK],
    security=OPERATOR,
    opt=query_rules.stated(pages.rule(comment_reports.ORDER)),
)
async def list_reports(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    caller: CallerDep,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[ReportList]:
    """List reports of comments, newest first. For operators."""
    require_operator(caller)
    page = pages.requested(comment_reports.ORDER, limit, offset, cursor)

    def read(conn: Connection) -> ReportList:
        rows = comment_reports.find_reports(
            conn, limit=page.fetch, offset=page.offset, after=page.after
        )
        shown, next_ = page.cut(rows)
        return ReportList([_report_row(row) for row in shown], len(shown), offset, limit, next_)

    body = await database.write_as_operator(caller.wallet, read)
    return pages.response(request, body, body.next)


def _report_row(row: comment_reports.Report) -> Report:
    return Report(
        discussion_id=str(row.comment_id),
        market_id=row.market_id.hex(),
        author=formats.base58_key(row.author),
        content=row.content,
        is_deleted=row.deleted_at is not None,
        is_hidden=row.hidden_at is not None,
        reporter=formats.base58_key(row.wallet),
        reason=row.reason,
        note=row.note,
        created_at=formats.iso8601(row.created_at),
    )


@post(
    "/api/discussions/{discussion:str}/hide",
    tags=["discussions"],
    status_code=200,
    responses=_OPERATOR_ERRORS,
    security=OPERATOR,
    opt={"bucket": "write"},
)
async def hide_discussion(
    database: DatabaseDep, caller: CallerDep, discussion: CommentPath, data: JSONBody[Moderation]
) -> ChangedComment:
    """Hide a comment, for operators. Only operators still see its text; replies stay."""
    return await _moderate(database, caller, discussion, data, comments.hide)


@post(
    "/api/discussions/{discussion:str}/unhide",
    tags=["discussions"],
    status_code=200,
    responses=_OPERATOR_ERRORS,
    security=OPERATOR,
    opt={"bucket": "write"},
)
async def unhide_discussion(
    database: DatabaseDep, caller: CallerDep, discussion: CommentPath, data: JSONBody[Moderation]
) -> ChangedComment:
    """Show a hidden comment again, for operators."""
    return await _moderate(database, caller, discussion, data, comments.unhide)


_Act: TypeAlias = Callable[[Connection, UUID, audit.Actor, str], discussions.Discussion]


async def _moderate(
    database: Database, caller: Caller, discussion: str, body: Moderation, act: _Act
) -> ChangedComment:
    operator = operator_of(caller)
    comment_id = identifiers.comment_id(discussion)
    reason = user_text.reason(body.reason)
    row = await database.write_as_operator(
        caller.wallet, lambda conn: act(conn, comment_id, operator, reason)
    )
    message = "Discussion hidden" if row.hidden_at is not None else "Discussion shown"
    return ChangedComment(message, community.comment(row))


HANDLERS = [
    report_discussion,
    flag_discussion,
    list_reports,
    hide_discussion,
    unhide_discussion,
]
