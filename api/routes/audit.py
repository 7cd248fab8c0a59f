"""The log of what operators did, for operators."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import CallerDep, DatabaseDep, Limit, Offset, error_responses
from api.identity.caller import require_operator
from api.openapi import security
from api.requests import pages
from zmart_pipelines.client_schemas.formats import base58_key, iso8601
from zmart_pipelines.store.audit import EntryPoint
from zmart_pipelines.store.queries import audit
from zmart_pipelines.store.queries.audit import AuditFilter, AuditRow


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator did.

    One of `wallet`, `service` (whose key was sent), `os_user` (who ran a command) and
    `dagster_user` is who did it, through the `entry_point`.
    """

    id: int
    recorded_at: str
    entry_point: EntryPoint
    wallet: str | None
    service: str | None
    os_user: str | None
    dagster_user: str | None
    action: str
    subject: str | None
    reason: str
    details: dict[str, Any]


class AuditLog(msgspec.Struct, frozen=True):
    """A page of the log, newest first. `count` is the page's."""

    entries: list[AuditEntry]
    count: int
    limit: int
    offset: int
    next: str | None


@get(
    "/api/audit",
    tags=["operators"],
    responses=error_responses(400, 401, 403),
    response_headers=[pages.LINK],
    cache_control=caching.NO_STORE,
    security=security.OPERATOR,
)
async def list_audit(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    caller: CallerDep,
    action: Annotated[
        str | None, QueryParameter(max_length=64, description="Only acts of this name.")
    ] = None,
    subject: Annotated[
        str | None, QueryParameter(max_length=200, description="Only acts on this subject.")
    ] = None,
    entry_point: Annotated[
        EntryPoint | None, QueryParameter(description="Only acts through this entry point.")
    ] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[AuditLog]:
    """List what operators did through the API, the command line and Dagster; only operators may."""
    require_operator(caller)
    page = pages.requested(audit.NEWEST, limit, offset, cursor)
    wanted = AuditFilter(action=action, subject=subject, entry_point=entry_point)

    def read(conn: Connection) -> AuditLog:
        rows = audit.find_rows(conn, wanted, after=page.after, limit=page.fetch, offset=page.offset)
        shown, following = page.cut(rows)
        items = [_entry(row) for row in shown]
        return AuditLog(items, len(items), page.limit, page.offset, following)

    body = await database.write_as_operator(caller.wallet, read)
    return pages.response(request, body, body.next)


def _entry(row: AuditRow) -> AuditEntry:
    values = msgspec.structs.asdict(row)
    del values["key_id"]
    return AuditEntry(
        **values
        | {
            "recorded_at": iso8601(row.recorded_at),
            "wallet": None if row.wallet is None else base58_key(row.wallet),
        }
    )


HANDLERS = [list_audit]
