"""What users and operators do with comments; triggers keep texts, counts and history right.

A statement raises IntegrityError where a trigger refuses what it states: a reply or a vote whose
comment was deleted or hidden meanwhile.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, Update, delete, func, insert, update
from sqlalchemy.dialects.postgresql import insert as insert_once

from zmart_pipelines.store.queries.discussions import IS_SHOWN
from zmart_pipelines.store.tables.comments import comment_reports, comment_votes
from zmart_pipelines.store.tables.community import discussions as _discussions


def insert_comment(
    conn: Connection,
    *,
    market_id: bytes,
    parent_id: UUID | None,
    wallet: bytes,
    content: str,
    signature: bytes | None,
) -> UUID:
    """Insert a thread, or a reply to the thread ``parent_id``, and return its id."""
    statement = insert(_discussions).values(
        market_id=market_id,
        parent_id=parent_id,
        wallet=wallet,
        content=content,
        signature=signature,
    )
    created: UUID = conn.execute(statement.returning(_discussions.c.id)).scalar_one()
    return created


def edit(conn: Connection, comment_id: UUID, wallet: bytes, content: str) -> bool:
    """Change the text of a wallet's comment; False where it is not shown, or too old."""
    in_time = func.now() <= _discussions.c.created_at + func.community.edit_period()
    return _changes(
        conn,
        _shown(comment_id).where(_discussions.c.wallet == wallet, in_time).values(content=content),
    )


def mark_deleted(conn: Connection, comment_id: UUID, wallet: bytes) -> bool:
    """Delete a wallet's comment, hidden or not; False where it is deleted."""
    return _changes(
        conn,
        update(_discussions)
        .where(
            _discussions.c.id == comment_id,
            _discussions.c.wallet == wallet,
            _discussions.c.deleted_at.is_(None),
        )
        .values(deleted_at=func.now()),
    )


def hide(conn: Connection, comment_id: UUID) -> bool:
    """Hide a comment, for an operator; False where it is not shown."""
    return _changes(conn, _shown(comment_id).values(hidden_at=func.now()))


def unhide(conn: Connection, comment_id: UUID) -> bool:
    """Show a hidden comment again, for an operator; False where it is not hidden."""
    return _changes(
        conn,
        update(_discussions)
        .where(_discussions.c.id == comment_id, _discussions.c.hidden_at.is_not(None))
        .values(hidden_at=None),
    )


def add_vote(conn: Connection, comment_id: UUID, wallet: bytes) -> bool:
    """Up-vote a comment; False where the wallet has done so before."""
    added = conn.execute(
        insert_once(comment_votes)
        .values(comment_id=comment_id, wallet=wallet)
        .on_conflict_do_nothing()
        .returning(comment_votes.c.comment_id)
    )
    return added.first() is not None


def remove_vote(conn: Connection, comment_id: UUID, wallet: bytes) -> bool:
    """Take an up-vote back; False where there is none."""
    statement = delete(comment_votes).where(
        comment_votes.c.comment_id == comment_id, comment_votes.c.wallet == wallet
    )
    return conn.execute(statement).rowcount > 0


def add_report(
    conn: Connection, comment_id: UUID, wallet: bytes, *, reason: str, note: str
) -> bool:
    """Report a comment to operators; False where the wallet has done so before."""
    added = conn.execute(
        insert_once(comment_reports)
        .values(comment_id=comment_id, wallet=wallet, reason=reason, note=note)
        .on_conflict_do_nothing()
        .returning(comment_reports.c.comment_id)
    )
    return added.first() is not None


def _shown(comment_id: UUID) -> Update:
    return update(_discussions).where(_discussions.c.id == comment_id, IS_SHOWN)


def _changes(conn: Connection, statement: Update) -> bool:
    return conn.execute(statement).rowcount > 0
