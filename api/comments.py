"""Write and delete comments. A deleted comment stays in the table, hidden."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, insert, update

from api.errors import ApiError, not_found
from api.users import upsert_user
from zmart_pipelines.client_schemas.frames import comment_frame
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import discussions
from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables import community

_discussions = community.discussions


def create_comment(
    conn: Connection, market_id: bytes, wallet: bytes, content: str, signature: bytes | None
) -> discussions.Discussion:
    """Store a comment and append its frame, in the caller's transaction."""
    upsert_user(conn, wallet)
    row = conn.execute(
        insert(_discussions)
        .values(market_id=market_id, wallet=wallet, content=content, signature=signature)
        .returning(_discussions)
    ).one()
    comment = one(discussions.Discussion, row)
    _append_frame(conn, comment, "created")
    return comment


def delete_comment(conn: Connection, comment_id: UUID, wallet: bytes) -> None:
    """Hide a comment of this wallet and append its frame.

    Raises:
        ApiError: 404 where the comment does not exist or is already deleted, 403 where
            another wallet wrote it.
    """
    comment = discussions.get(conn, comment_id)
    if comment is None or comment.deleted_at is not None:
        raise not_found("Discussion")
    if comment.wallet != wallet:
        raise ApiError(403, "Only the author of a comment may delete it")
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
    _append_frame(conn, comment, "deleted")


def _append_frame(
    conn: Connection, comment: discussions.Discussion, action: Literal["created", "deleted"]
) -> None:
    stream.append(conn, [comment_frame(comment, action=action)])
