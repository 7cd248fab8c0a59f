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
    READS,
    DatabaseDep,
    HubDep,
    Limit,
    MarketPath,
    Offset,
    SettingsDep,
    failures,
)
from api.errors import invalid
from api.request_bodies import NewComment, Proven
from api.routes.markets import existing, id_of
from zmart_pipelines.client_schemas import community
from zmart_pipelines.store.queries import discussions


class CommentList(msgspec.Struct, frozen=True):
    """A page of comments; ``count`` is of the page, ``total`` of all pages."""

    discussions: list[community.Comment]
    count: int
    total: int
    market_id: str


class NewCommentAnswer(msgspec.Struct, frozen=True):
    """The stored comment."""

    message: str
    discussion: community.Comment


class Done(msgspec.Struct, frozen=True):
    """What was done."""

    message: str


@get(
    "/api/discussions/{market:str}",
    operation_id="listDiscussions",
    tags=["discussions"],
    responses=READS,
)
async def find(
    database: DatabaseDep, market: MarketPath, limit: Limit = 50, offset: Offset = 0
) -> CommentList:
    """A market's comments, the newest first."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> CommentList:
        market_id = id_of(conn, key)
        rows = discussions.find(conn, market_id=market_id, limit=limit, offset=offset)
        total = discussions.count(conn, market_id=market_id)
        items = [community.comment(row) for row in rows]
        return CommentList(items, len(items), total, market_id.hex())

    return await database.read(read)


@post(
    "/api/discussions",
    operation_id="createDiscussion",
    tags=["discussions"],
    responses=failures(400, 401, 404, 413, 415),
    security=[{"wallet": []}],
)
async def create(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    hub: HubDep,
    data: JSONBody[NewComment],
) -> NewCommentAnswer:
    """Comment on a market."""
    key = identifiers.market_key(data.market_id)
    content = data.content.strip()
    if not content:
        raise invalid("content", "must not be blank")
    wallet = auth.authenticate(
        request, data.message, data.signature, data.wallet, settings.auth_window_seconds
    )

    def write(conn: Connection) -> comments.Written:
        return comments.write(conn, existing(conn, key).market_id, wallet, content)

    written = await database.write(wallet, write)
    hub.announce(written.positions)
    return NewCommentAnswer("Discussion created", community.comment(written.comment))


@delete(
    "/api/discussions/{discussion:str}",
    operation_id="deleteDiscussion",
    status_code=200,
    tags=["discussions"],
    responses=failures(400, 401, 403, 404, 413, 415),
    security=[{"wallet": []}],
)
async def remove(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    hub: HubDep,
    discussion: Annotated[str, PathParameter(description="The comment's id, a UUID.")],
    data: JSONBody[Proven | None] = None,
) -> Done:
    """Delete one's own comment."""
    try:
        comment_id = UUID(discussion)
    except ValueError as error:
        raise invalid("discussion", "must be a UUID") from error
    body = data or Proven()
    wallet = auth.authenticate(
        request, body.message, body.signature, body.wallet, settings.auth_window_seconds
    )
    positions = await database.write(wallet, lambda conn: comments.delete(conn, comment_id, wallet))
    hub.announce(positions)
    return Done("Discussion deleted")


HANDLERS = [find, create, remove]
