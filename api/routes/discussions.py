"""Comments under a market."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.params import JSONBody, PathParameter
from sqlalchemy import Connection

from api import auth, comments, identifiers
from api.dependencies import (
    READ_ERRORS,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    SettingsDep,
    error_responses,
)
from api.errors import invalid
from api.market_lookup import require_market, resolve_market_id
from api.request_bodies import DeleteRequest, NewComment
from zmart_pipelines.client_schemas import community
from zmart_pipelines.store.queries import discussions


class CommentList(msgspec.Struct, frozen=True):
    """A page of comments. `count` is the page's, `total` that of all pages."""

    discussions: list[community.Comment]
    count: int
    total: int
    market_id: str


class CreatedComment(msgspec.Struct, frozen=True):
    """The stored comment."""

    message: str
    discussion: community.Comment


class DeletedComment(msgspec.Struct, frozen=True):
    """The confirmation that the comment was deleted."""

    message: str


@get(
    "/api/discussions/{market:str}",
    tags=["discussions"],
    responses=READ_ERRORS,
)
async def list_discussions(
    database: DatabaseDep, market: MarketPath, limit: Limit = 50, offset: Offset = 0
) -> CommentList:
    """List a market's comments, newest first."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> CommentList:
        market_id = resolve_market_id(conn, key)
        rows = discussions.find_discussions(conn, market_id=market_id, limit=limit, offset=offset)
        total = discussions.count(conn, market_id=market_id)
        items = [community.comment(row) for row in rows]
        return CommentList(items, len(items), total, market_id.hex())

    return await database.read(read)


@post(
    "/api/discussions",
    tags=["discussions"],
    responses=error_responses(400, 401, 404, 413, 415),
    security=[{"wallet": []}],
)
async def create_discussion(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    data: JSONBody[NewComment],
) -> CreatedComment:
    """Create a comment on a market."""
    key = identifiers.market_key(data.market_id)
    content = data.content.strip()
    if not content:
        raise invalid("content", "must not be blank")
    wallet = auth.authenticate(request, data, settings.auth_window_seconds)

    def write(conn: Connection) -> discussions.Discussion:
        return comments.create_comment(conn, require_market(conn, key).market_id, wallet, content)

    comment = await database.write(wallet, write)
    return CreatedComment("Discussion created", community.comment(comment))


@delete(
    "/api/discussions/{discussion:str}",
    status_code=200,
    tags=["discussions"],
    responses=error_responses(400, 401, 403, 404, 413, 415),
    security=[{"wallet": []}],
)
async def delete_discussion(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    discussion: Annotated[str, PathParameter(description="The comment's id (UUID).")],
    data: JSONBody[DeleteRequest | None] = None,
) -> DeletedComment:
    """Delete a comment; only its author may."""
    try:
        comment_id = UUID(discussion)
    except ValueError as error:
        raise invalid("discussion", "must be a UUID") from error
    wallet = auth.authenticate(request, data or DeleteRequest(), settings.auth_window_seconds)
    await database.write(wallet, lambda conn: comments.delete_comment(conn, comment_id, wallet))
    return DeletedComment("Discussion deleted")


HANDLERS = [list_discussions, create_discussion, delete_discussion]
