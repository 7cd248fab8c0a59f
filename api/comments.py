"""Write, edit, delete, vote on, report and moderate comments, in the caller's transaction.

Each change of what is shown appends the comment's frame. What must hold is held by the triggers of
``community.discussions``; here it becomes an answer.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from api.error_codes import ErrorCode
from api.errors import ApiError, invalid, not_found
from zmart_pipelines.client_schemas.frames import CommentAction, comment_frame
from zmart_pipelines.store import audit, stream
from zmart_pipelines.store.queries import comment_changes, discussions
from zmart_pipelines.store.queries.discussions import Discussion
from zmart_pipelines.store.queries.users import upsert_user


def create_comment(
    conn: Connection,
    market_id: bytes,
    wallet: bytes,
    content: str,
    signature: bytes | None,
    answers: UUID | None = None,
) -> Discussion:
    """Store a comment.

    Args:
        conn: The transaction.
        market_id: 32 bytes.
        wallet: The author, 32 bytes.
        content: As ``api.requests.user_text`` returns it.
        signature: Of the text that permitted it; None where a session did.
        answers: The comment that it replies to: a thread, or a reply in it.

    Raises:
        ApiError: 404 where that comment is not shown, or the thread is not; 400 where it belongs to
            another market.
    """
    thread = None if answers is None else _thread_of(conn, answers, market_id)
    upsert_user(conn, wallet)
    try:
        comment_id = comment_changes.insert_comment(
            conn,
            market_id=market_id,
            parent_id=thread,
            wallet=wallet,
            content=content,
            signature=signature,
        )
    except IntegrityError as error:
        if thread is None:
            raise
        # The thread was deleted or hidden before, or just now.
        raise not_found("Discussion") from error
    return _changed(conn, comment_id, "created")


def edit_comment(conn: Connection, comment_id: UUID, wallet: bytes, content: str) -> Discussion:
    """Change the text of a wallet's comment, within five minutes of its creation.

    Raises:
        ApiError: 404 where it is not shown, 403 where another wallet wrote it, 409 afterwards.
    """
    _require_author(_shown(conn, comment_id), wallet, "edit")
    if not comment_changes.edit(conn, comment_id, wallet, content):
        _shown(conn, comment_id)
        raise ApiError(
            409,
            "A comment can be edited for 5 minutes after it was created",
            code=ErrorCode.PERIOD_ENDED,
        )
    return _changed(conn, comment_id, "edited")


def delete_comment(conn: Connection, comment_id: UUID, wallet: bytes) -> None:
    """Delete a wallet's comment, hidden or not; a thread stays, without its text.

    Raises:
        ApiError: 404 where the comment does not exist or is already deleted, 403 where
            another wallet wrote it.
    """
    comment = discussions.get(conn, comment_id)
    if comment is None or comment.deleted_at is not None:
        raise not_found("Discussion")
    _require_author(comment, wallet, "delete")
    if not comment_changes.mark_deleted(conn, comment_id, wallet):
        raise not_found("Discussion")
    _changed(conn, comment_id, "deleted")


def vote(conn: Connection, comment_id: UUID, wallet: bytes) -> Discussion:
    """Up-vote a comment, once per wallet; raise ApiError 404 where it is not shown."""
    _shown(conn, comment_id)
    try:
        is_new = comment_changes.add_vote(conn, comment_id, wallet)
    except IntegrityError as error:
        # It was deleted or hidden just now.
        raise not_found("Discussion") from error
    return _changed(conn, comment_id, "voted") if is_new else _shown(conn, comment_id)


def take_vote_back(conn: Connection, comment_id: UUID, wallet: bytes) -> Discussion:
    """Take a wallet's up-vote back, if there is one; raise ApiError 404 for unknown comments."""
    if comment_changes.remove_vote(conn, comment_id, wallet):
        return _changed(conn, comment_id, "voted")
    return _shown(conn, comment_id)


def report(conn: Connection, comment_id: UUID, wallet: bytes, reason: str, note: str) -> bool:
    """Report a comment to operators; False where this wallet has done so before.

    Raises:
        ApiError: 404 where it is not shown.
    """
    _shown(conn, comment_id)
    return comment_changes.add_report(conn, comment_id, wallet, reason=reason, note=note)


def hide(conn: Connection, comment_id: UUID, operator: audit.Actor, reason: str) -> Discussion:
    """Hide a comment, for an operator; one that is hidden stays so.

    Raises:
        ApiError: 404 where it does not exist or is deleted.
    """
    if comment_changes.hide(conn, comment_id):
        _audit(conn, comment_id, operator, "hide_comment", reason)
        return _changed(conn, comment_id, "hidden")
    return _not_deleted(conn, comment_id)


def unhide(conn: Connection, comment_id: UUID, operator: audit.Actor, reason: str) -> Discussion:
    """Show a hidden comment again, for an operator; one that is shown stays so.

    Raises:
        ApiError: 404 where it does not exist or is deleted.
    """
    _not_deleted(conn, comment_id)
    if comment_changes.unhide(conn, comment_id):
        _audit(conn, comment_id, operator, "unhide_comment", reason)
        return _changed(conn, comment_id, "unhidden")
    return _not_deleted(conn, comment_id)


def _audit(
    conn: Connection, comment_id: UUID, operator: audit.Actor, action: str, reason: str
) -> None:
    audit.record(conn, operator, "api", action, str(comment_id), reason)


def _thread_of(conn: Connection, answered: UUID, market_id: bytes) -> UUID:
    comment = _shown(conn, answered)
    if comment.market_id != market_id:
        raise invalid("parent_id", "must be a comment of the same market")
    return comment.parent_id or comment.id


def _shown(conn: Connection, comment_id: UUID) -> Discussion:
    """Return a comment that is neither deleted nor hidden; raise ApiError 404 otherwise."""
    comment = _not_deleted(conn, comment_id)
    if comment.hidden_at is not None:
        raise not_found("Discussion")
    return comment


def _not_deleted(conn: Connection, comment_id: UUID) -> Discussion:
    comment = discussions.get(conn, comment_id)
    if comment is None or comment.deleted_at is not None:
        raise not_found("Discussion")
    return comment


def _require_author(comment: Discussion, wallet: bytes, act: str) -> None:
    if comment.wallet != wallet:
        raise ApiError(403, f"Only the author of a comment may {act} it")


def _changed(conn: Connection, comment_id: UUID, action: CommentAction) -> Discussion:
    """Append the frame of a comment that was changed, and return the comment."""
    comment = discussions.get(conn, comment_id)
    if comment is None:
        raise RuntimeError(f"comment {comment_id} is gone")
    stream.append(conn, [comment_frame(comment, action=action)])
    return comment
