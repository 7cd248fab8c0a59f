"""Comments under a market."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import JSONBody, PathParameter
from sqlalchemy import Connection

from api import caching, comments
from api.created import locate
from api.dependencies import (
    NAMED_READ_ERRORS,
    CallerDep,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    SettingsDep,
    error_responses,
)
from api.identity import auth, idempotency, text_to_sign
from api.identity.idempotency import IdempotencyKey
from api.identity.text_to_sign import TextToSign
from api.markets.lookup import require_market_id
from api.requests import identifiers, pages, user_text
from api.requests.bodies import DeleteRequest, NewComment
from zmart_pipelines.client_schemas import community
from zmart_pipelines.store.queries import discussions

CommentPath: TypeAlias = Annotated[str, PathParameter(description="The comment's id (UUID).")]


class CommentList(msgspec.Struct, frozen=True):
    """A page of comments. `count` is the page's, `total` that of all pages."""

    discussions: list[community.Comment]
    count: int
    total: int
    market_id: str
    offset: int
    limit: int
    next: str | None


class CreatedComment(msgspec.Struct, frozen=True):
    """The stored comment."""

    message: str
    discussion: community.Comment


class DeletedComment(msgspec.Struct, frozen=True):
    """The confirmation that the comment was deleted."""

    message: str


@get(
    ["/api/discussions/{market:str}", "/api/markets/{market:str}/discussions"],
    tags=["discussions"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
)
async def list_discussions(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: MarketPath,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[CommentList]:
    """List a market's comments, newest first."""
    key = identifiers.market_key(market, "market")
    page = pages.requested(discussions.ORDER, limit, offset, cursor)

    def read(conn: Connection) -> CommentList:
        market_id = require_market_id(conn, key)
        rows = discussions.find_discussions(
            conn, market_id=market_id, limit=page.fetch, offset=page.offset, after=page.after
        )
        shown, next_ = page.cut(rows)
        total = discussions.count(conn, market_id=market_id)
        items = [community.comment(row) for row in shown]
        return CommentList(items, len(items), total, market_id.hex(), offset, limit, next_)

    body = await database.read(read)
    return pages.response(request, body, body.next)


@post(
    "/api/discussions/message",
    status_code=200,
    tags=["discussions"],
    responses=error_responses(400, 413, 415),
)
async def get_comment_text(
    request: Request[Any, Any, Any], settings: SettingsDep, data: JSONBody[NewComment]
) -> TextToSign:
    """Get the exact text to sign for a comment: send the body that will be posted."""
    identifiers.market_key(data.market_id)
    user_text.comment(data.content)
    auth.require_well_formed(data)
    return text_to_sign.compose(
        await auth.operation_of(request, "comment", data.market_id), settings
    )


@post(
    "/api/discussions",
    tags=["discussions"],
    responses=error_responses(400, 401, 404, 409, 413, 415, 429),
    security=[{"wallet": []}],
)
async def create_discussion(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    caller: CallerDep,
    data: JSONBody[NewComment],
    idempotency_key: IdempotencyKey = None,
) -> CreatedComment:
    """Create a comment on a market."""
    key = identifiers.market_key(data.market_id)
    content = user_text.comment(data.content)
    permit = await auth.authorize(request, data, settings, caller, "comment", data.market_id)

    def create(conn: Connection) -> CreatedComment:
        market_id = require_market_id(conn, key)
        comment = comments.create_comment(conn, market_id, permit.wallet, content, permit.signature)
        return CreatedComment("Discussion created", community.comment(comment))

    created = await database.write(
        permit.wallet,
        idempotency.once(create, CreatedComment, permit, idempotency_key, settings),
    )
    locate(request, f"/api/discussions/{created.answer.discussion.market_id}")
    return created.answer


@get(
    "/api/discussions/{discussion:str}/message",
    cache_control=caching.NO_STORE,
    tags=["discussions"],
    responses=NAMED_READ_ERRORS,
)
async def get_deletion_text(
    request: Request[Any, Any, Any], settings: SettingsDep, discussion: CommentPath
) -> TextToSign:
    """Get the exact text to sign for the deletion of a comment."""
    subject = str(identifiers.comment_id(discussion))
    return text_to_sign.compose(
        await auth.operation_of(request, "delete-comment", subject), settings
    )


@delete(
    "/api/discussions/{discussion:str}",
    status_code=200,
    tags=["discussions"],
    responses=error_responses(400, 401, 403, 404, 409, 413, 415, 429),
    security=[{"wallet": []}],
)
async def delete_discussion(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    caller: CallerDep,
    discussion: CommentPath,
    data: JSONBody[DeleteRequest | None] = None,
    idempotency_key: IdempotencyKey = None,
) -> DeletedComment:
    """Delete a comment; only its author may."""
    comment_id = identifiers.comment_id(discussion)
    permit = await auth.authorize(
        request, data or DeleteRequest(), settings, caller, "delete-comment", str(comment_id)
    )

    def remove(conn: Connection) -> DeletedComment:
        comments.delete_comment(conn, comment_id, permit.wallet)
        return DeletedComment("Discussion deleted")

    deleted = await database.write(
        permit.wallet,
        idempotency.once(remove, DeletedComment, permit, idempotency_key, settings),
    )
    return deleted.answer


HANDLERS = [
    list_discussions,
    get_comment_text,
    create_discussion,
    get_deletion_text,
    delete_discussion,
]
