"""Reports of comments, for operators: row-level security shows them to no other."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables.comments import comment_reports, former_texts
from zmart_pipelines.store.tables.community import discussions as _discussions

_reports = comment_reports


class Report(msgspec.Struct, frozen=True):
    """One wallet's report of a comment.

    Attributes:
        wallet: Who reports it.
        author: Who wrote it.
        content: The comment's text, also where it is deleted or hidden.
    """

    comment_id: UUID
    wallet: bytes
    reason: str
    note: str
    created_at: datetime
    market_id: bytes
    author: bytes
    content: str
    deleted_at: datetime | None
    hidden_at: datetime | None


# Newest first.
ORDER: Final = Order(
    "reports",
    tuple(
        KeyColumn(column.name, column, descending=True)
        for column in (_reports.c.created_at, _reports.c.comment_id, _reports.c.wallet)
    ),
)


def find_reports(
    conn: Connection, *, limit: int = 50, offset: int = 0, after: Key | None = None
) -> list[Report]:
    """Return a page of reports in ``ORDER``."""
    last_text = (
        select(former_texts.c.content)
        .where(former_texts.c.comment_id == _discussions.c.id)
        .order_by(former_texts.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = select(
        _reports,
        _discussions.c.market_id,
        _discussions.c.wallet.label("author"),
        func.coalesce(func.nullif(_discussions.c.content, ""), last_text).label("content"),
        _discussions.c.deleted_at,
        _discussions.c.hidden_at,
    ).join_from(_reports, _discussions, _discussions.c.id == _reports.c.comment_id)
    return many(
        Report, conn.execute(ORDER.page(statement, after=after, limit=limit, offset=offset))
    )
