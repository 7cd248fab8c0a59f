"""Comments under a market: threads, their replies, and what their authors do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter
from sqlalchemy import Connection

from api import caching, comments
from api.created import locate
from api.dependencies import (
    NAMED_READ_ERRORS,
    CommentPath,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    SettingsDep,
    WritesDep,
    error_responses,
)
from api.errors import not_found
from api.identity import auth, text_to_sign
from api.identity.auth import AuthorizedWrite
from api.identity.text_to_sign import TextToSign
from api.markets.lookup import require_market_id
from api.markets.market_threads import CommentList, load_threads
from api.openapi.security import PERMITTED
from api.requests import identifiers, pages, query_rules, user_text
from api.requests.bodies import CommentText, NewComment, NewMarketComment, ProofOnly
from zmart_pipelines.client_schemas import community
from zmart_pipelines.store.queries import discussions
from zmart_pipelines.store.queries.keyset import Order

Sort: TypeAlias = Literal["newest", "top"]
_ORDERS: Final[Mapping[Sort, Order]] = MappingProxyType(
    {"newest": discussions.NEWEST, "top": discussions.TOP}
)
WRITE_ERRORS: Final = error_responses(400, 401, 404, 409, 413, 415, 429)
OWNER_ERRORS: Final = error_responses(400, 401, 403, 404, 409, 413, 415, 429)


class CreatedComment(msgspec.Struct, frozen=True):
    """The stored comment."""

    message: str
    discussion: community.Comment


class ChangedComment(msgspec.Struct, frozen=True):
    """The comment as it is now."""

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
    opt=query_rules.stated(pages.rule(lambda given: _ORDERS[given.query.get("sort", "newest")])),
)
async def list_discussions(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: MarketPath,
    sort: Annotated[
        Sort, QueryParameter(description="Newest first, or those with most up-votes first.")
    ] = "newest",
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[CommentList]:
    """List a market's threads.

    A deleted or hidden one is listed, without its text, while it has replies.
    """
    key = identifiers.market_key(market, "market")
    page = pages.requested(_ORDERS[sort], limit, offset, cursor)

    def read(conn: Connection) -> CommentList:
        market_id = require_market_id(conn, key)
        return load_threads(conn, market_id, page)

    body = await database.read(read)
    return pages.response(request, body, body.next)


@get(
    "/api/discussions/{discussion:str}/replies",
    tags=["discussions"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(discussions.OLDEST)),
)
async def list_replies(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    discussion: CommentPath,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[CommentList]:
    """List a thread's replies, oldest first."""
    thread = identifiers.comment_id(discussion)
    page = pages.requested(discussions.OLDEST, limit, offset, cursor)

    def read(conn: Connection) -> CommentList:
        found = discussions.get(conn, thread)
        if found is None:
            raise not_found("Discussion")
        rows = discussions.replies_of(
            conn, thread, limit=page.fetch, offset=page.offset, after=page.after
        )
        shown, next_ = page.cut(rows)
        items = [community.comment(row) for row in shown]
        market_id = found.market_id.hex()
        return CommentList(items, len(items), found.replies, market_id, offset, limit, next_)

    body = await database.read(read)
    return pages.response(request, body, body.next)


@post(
    "/api/discussions/message",
    opt={"bucket": "general"},
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
    responses=WRITE_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def create_discussion(
    request: Request[Any, Any, Any], writes: WritesDep, data: JSONBody[NewComment]
) -> CreatedComment:
    """Create a comment on a market, or a reply to one."""
    return await _create(request, writes, data, data.market_id, "market_id")


@post(
    "/api/markets/{market:str}/discussions",
    tags=["discussions"],
    responses=WRITE_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def create_market_discussion(
    request: Request[Any, Any, Any],
    writes: WritesDep,
    market: MarketPath,
    data: JSONBody[NewMarketComment],
) -> CreatedComment:
    """Create a comment on the market of the path, or a reply to one."""
    return await _create(request, writes, data, market, "market")


async def _create(
    request: Request[Any, Any, Any],
    writes: WritesDep,
    body: NewMarketComment,
    market: str,
    field: str,
) -> CreatedComment:
    key = identifiers.market_key(market, field)
    content = user_text.comment(body.content)

    def create(conn: Connection, permit: AuthorizedWrite) -> CreatedComment:
        market_id = require_market_id(conn, key)
        comment = comments.create_comment(
            conn, market_id, permit.wallet, content, permit.signature, body.parent_id
        )
        return CreatedComment("Discussion created", community.comment(comment))

    created = await writes.perform(body, "comment", market, CreatedComment, create)
    locate(request, f"/api/discussions/{created.discussion.market_id}")
    return created


@patch(
    "/api/discussions/{discussion:str}",
    tags=["discussions"],
    responses=OWNER_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def edit_discussion(
    writes: WritesDep, discussion: CommentPath, data: JSONBody[CommentText]
) -> ChangedComment:
    """Edit a comment within five minutes of its creation; only its author may."""
    comment_id = identifiers.comment_id(discussion)
    content = user_text.comment(data.content)

    def edit(conn: Connection, permit: AuthorizedWrite) -> ChangedComment:
        comment = comments.edit_comment(conn, comment_id, permit.wallet, content)
        return ChangedComment("Discussion edited", community.comment(comment))

    return await writes.perform(data, "edit-comment", str(comment_id), ChangedComment, edit)


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
    responses=OWNER_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def delete_discussion(
    writes: WritesDep, discussion: CommentPath, data: JSONBody[ProofOnly | None] = None
) -> DeletedComment:
    """Delete a comment; only its author may. Its replies stay."""
    comment_id = identifiers.comment_id(discussion)

    def remove(conn: Connection, permit: AuthorizedWrite) -> DeletedComment:
        comments.delete_comment(conn, comment_id, permit.wallet)
        return DeletedComment("Discussion deleted")

    return await writes.perform(data, "delete-comment", str(comment_id), DeletedComment, remove)


HANDLERS = [
    list_discussions,
    list_replies,
    get_comment_text,
    create_discussion,
    create_market_discussion,
    edit_discussion,
    get_deletion_text,
    delete_discussion,
]
