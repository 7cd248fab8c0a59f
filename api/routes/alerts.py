"""Conditions that the operators are alerted of."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.dependencies import READ_ERRORS, DatabaseDep, Limit, Offset
from api.requests import pages, query_rules
from zmart_pipelines.client_schemas import alerts as schemas
from zmart_pipelines.store.queries import alerts


class AlertList(msgspec.Struct, frozen=True):
    """A page of alerts, newest first. `count` is the page's."""

    alerts: list[schemas.Alert]
    count: int
    limit: int
    offset: int
    next: str | None


@get(
    "/api/alerts",
    tags=["ledger"],
    responses=READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(alerts.NEWEST)),
)
async def list_alerts(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    open_: Annotated[
        bool | None,
        QueryParameter(name="open", description="Only open alerts, or only cleared ones."),
    ] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[AlertList]:
    """List the conditions that operators were alerted of: what, how severe, since when.

    The texts of alerts are for operators and are not published.
    """
    page = pages.requested(alerts.NEWEST, limit, offset, cursor)

    def read(conn: Connection) -> AlertList:
        rows = alerts.find_alerts(
            conn, is_open=open_, after=page.after, limit=page.fetch, offset=page.offset
        )
        shown, following = page.cut(rows)
        items = [schemas.alert(row) for row in shown]
        return AlertList(items, len(items), page.limit, page.offset, following)

    body = await database.read(read)
    return pages.response(request, body, body.next)


HANDLERS = [list_alerts]
