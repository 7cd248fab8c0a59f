"""A page of the threads under a market, as clients read it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from api.requests.pages import Page
from zmart_pipelines.client_schemas import community
from zmart_pipelines.store.queries import discussions


class CommentList(msgspec.Struct, frozen=True):
    """A page of threads, or of a thread's replies. `count` is the page's, `total` that of all."""

    discussions: list[community.Comment]
    count: int
    total: int
    market_id: str
    offset: int
    limit: int
    next: str | None


def load_threads(conn: Connection, market_id: bytes, page: Page) -> CommentList:
    """Return a page of a market's threads, in the page's order."""
    rows = discussions.threads(
        conn, market_id, page.order, limit=page.fetch, offset=page.offset, after=page.after
    )
    shown, next_ = page.cut(rows)
    total = discussions.count_threads(conn, market_id)
    items = [community.comment(row) for row in shown]
    return CommentList(items, len(items), total, market_id.hex(), page.offset, page.limit, next_)
