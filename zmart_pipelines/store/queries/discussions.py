"""Comments on markets as they are read: threads, replies and those of a wallet.

A thread that is deleted or hidden is listed without its text while it has replies; other such
comments are not listed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables import community

_discussions = community.discussions
_users = community.users


class Discussion(msgspec.Struct, frozen=True):
    """One comment, with the profile of its author.

    Attributes:
        parent_id: The thread that it replies to; None for a thread.
        content: Empty where it is deleted or hidden.
        replies: How many replies are shown.
        name: What the author is called.
        avatar_cid: CIDv0 of the author's picture.
    """

    id: UUID
    market_id: bytes
    parent_id: UUID | None
    wallet: bytes
    content: str
    signature: bytes | None
    up_votes: int
    replies: int
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    hidden_at: datetime | None
    name: str | None
    avatar_cid: str | None


def _order(name: str, *columns: ColumnElement[Any], descending: bool = True) -> Order:
    return Order(
        name,
        tuple(KeyColumn(str(column.key), column, descending=descending) for column in columns),
    )


NEWEST: Final = _order("newest", _discussions.c.created_at, _discussions.c.id)
TOP: Final = _order("top", _discussions.c.up_votes, _discussions.c.created_at, _discussions.c.id)
OLDEST: Final = _order("oldest", _discussions.c.created_at, _discussions.c.id, descending=False)
OF_WALLET: Final = _order("wallet_comments", _discussions.c.created_at, _discussions.c.id)

# Neither deleted nor hidden.
IS_SHOWN: Final = and_(_discussions.c.deleted_at.is_(None), _discussions.c.hidden_at.is_(None))


def _comments() -> Select[Any]:
    own = [_discussions.c[name] for name in Discussion.__struct_fields__ if name in _discussions.c]
    joined = _discussions.join(_users, _users.c.wallet == _discussions.c.wallet)
    return select(*own, _users.c.name, _users.c.avatar_cid).select_from(joined)


def _is_listed_thread(market_id: bytes) -> ColumnElement[bool]:
    return and_(
        _discussions.c.market_id == market_id,
        _discussions.c.parent_id.is_(None),
        or_(IS_SHOWN, _discussions.c.replies > 0),
    )


def threads(
    conn: Connection,
    market_id: bytes,
    order: Order = NEWEST,
    *,
    limit: int = 50,
    offset: int = 0,
    after: Key | None = None,
) -> list[Discussion]:
    """Return a page of a market's threads.

    Args:
        order: ``NEWEST`` or ``TOP``.
        after: Key, in ``order``, of the last thread of the page before.
    """
    statement = _comments().where(_is_listed_thread(market_id))
    page = order.page(statement, after=after, limit=limit, offset=offset)
    return many(Discussion, conn.execute(page))


def count_threads(conn: Connection, market_id: bytes) -> int:
    """Return how many threads of a market are listed."""
    return _count(conn, _is_listed_thread(market_id))


def replies_of(
    conn: Connection, thread: UUID, *, limit: int = 50, offset: int = 0, after: Key | None = None
) -> list[Discussion]:
    """Return a page of a thread's replies in ``OLDEST``."""
    statement = _comments().where(_discussions.c.parent_id == thread, IS_SHOWN)
    page = OLDEST.page(statement, after=after, limit=limit, offset=offset)
    return many(Discussion, conn.execute(page))


def comments_of_wallet(
    conn: Connection, wallet: bytes, *, limit: int = 50, offset: int = 0, after: Key | None = None
) -> list[Discussion]:
    """Return a page of a wallet's threads and replies in ``OF_WALLET``."""
    statement = _comments().where(_discussions.c.wallet == wallet, IS_SHOWN)
    page = OF_WALLET.page(statement, after=after, limit=limit, offset=offset)
    return many(Discussion, conn.execute(page))


def count_of_wallet(conn: Connection, wallet: bytes) -> int:
    """Return how many threads and replies of a wallet are shown."""
    return _count(conn, and_(_discussions.c.wallet == wallet, IS_SHOWN))


def get(conn: Connection, comment_id: UUID) -> Discussion | None:
    """Return the comment with this id, deleted, hidden or neither."""
    row = conn.execute(_comments().where(_discussions.c.id == comment_id)).one_or_none()
    return None if row is None else one(Discussion, row)


def _count(conn: Connection, condition: ColumnElement[bool]) -> int:
    statement = select(func.count()).select_from(_discussions).where(condition)
    return conn.execute(statement).scalar_one()
