"""Writing and deleting comments. A deleted one stays in the table, hidden."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, insert, update

from api.drafts import touch_user
from api.errors import ApiError, not_found
from zmart_pipelines.client_schemas.frames import comment_frame
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import discussions
from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables import community

_discussions = community.discussions


class Written(msgspec.Struct, frozen=True):
    """A comment as stored, and the stream's new positions."""

    comment: discussions.Discussion
    positions: list[int]


def write(conn: Connection, market_id: bytes, wallet: bytes, content: str) -> Written:
    """Store a comment and announce it, in the caller's transaction."""
    touch_user(conn, wallet)
    row = conn.execute(
        insert(_discussions)
        .values(market_id=market_id, wallet=wallet, content=content)
        .returning(_discussions)
    ).one()
    comment = one(discussions.Discussion, row)
    return Written(comment, _announce(conn, comment, deleted=False))


def delete(conn: Connection, comment_id: UUID, wallet: bytes) -> list[int]:
    """Hide a comment of this wallet; the stream's new positions.

    ApiError 404 where there is none (any more), 403 where it is somebody else's.
    """
    comment = discussions.get(conn, comment_id)
    if comment is None or comment.deleted_at is not None:
        raise not_found("Discussion")
    if comment.wallet != wallet:
        raise ApiError(403, "Only its author may delete a comment")
    hidden = conn.execute(
        update(_discussions)
        .where(
            _discussions.c.id == comment_id,
            _discussions.c.wallet == wallet,
            _discussions.c.deleted_at.is_(None),
        )
        .values(deleted_at=datetime.now(UTC))
    )
    if hidden.rowcount == 0:
        raise not_found("Discussion")
    return _announce(conn, comment, deleted=True)


def _announce(conn: Connection, comment: discussions.Discussion, *, deleted: bool) -> list[int]:
    frame = comment_frame(comment, action="deleted" if deleted else "created")
    return stream.append(conn, [frame])
