"""Up-votes of comments, also under the path of older clients."""

from __future__ import annotations

from litestar import delete, post, put
from litestar.params import JSONBody
from sqlalchemy import Connection

from api import comments
from api.dependencies import CommentPath, MarketPath, WritesDep
from api.errors import not_found
from api.identity.auth import AuthorizedWrite
from api.identity.writes import Writes
from api.markets.lookup import require_market_id
from api.openapi.security import PERMITTED
from api.requests import identifiers
from api.requests.bodies import OlderVote, ProofOnly, SignedBody
from api.routes.discussions import WRITE_ERRORS, ChangedComment
from zmart_pipelines.client_schemas import community
from zmart_pipelines.proofs.request_text import Action


@put(
    "/api/discussions/{discussion:str}/vote",
    tags=["discussions"],
    responses=WRITE_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def vote_for_discussion(
    writes: WritesDep, discussion: CommentPath, data: JSONBody[ProofOnly | None] = None
) -> ChangedComment:
    """Up-vote a comment. A wallet has one vote per comment; voting again changes nothing."""
    return await _vote(writes, data, discussion, is_up=True)


@delete(
    "/api/discussions/{discussion:str}/vote",
    status_code=200,
    tags=["discussions"],
    responses=WRITE_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def take_vote_back(
    writes: WritesDep, discussion: CommentPath, data: JSONBody[ProofOnly | None] = None
) -> ChangedComment:
    """Take an up-vote back. Where there is none, nothing changes."""
    return await _vote(writes, data, discussion, is_up=False)


@post(
    "/api/markets/{market:str}/discussions/{discussion:str}/vote",
    status_code=200,
    tags=["discussions"],
    responses=WRITE_ERRORS,
    security=PERMITTED,
    opt={"bucket": "write"},
)
async def vote_in_market(
    writes: WritesDep,
    market: MarketPath,
    discussion: CommentPath,
    data: JSONBody[OlderVote | None] = None,
) -> ChangedComment:
    """Up-vote a comment of this market, or take that back: an older path."""
    is_up = data is None or data.vote in (True, "up")
    return await _vote(writes, data, discussion, is_up=is_up, market=market)


async def _vote(
    writes: Writes,
    body: SignedBody | None,
    discussion: str,
    *,
    is_up: bool,
    market: str | None = None,
) -> ChangedComment:
    comment_id = identifiers.comment_id(discussion)
    key = None if market is None else identifiers.market_key(market, "market")

    def change(conn: Connection, permit: AuthorizedWrite) -> ChangedComment:
        act = comments.vote if is_up else comments.take_vote_back
        comment = act(conn, comment_id, permit.wallet)
        if key is not None and require_market_id(conn, key) != comment.market_id:
            raise not_found("Discussion")
        message = "Vote counted" if is_up else "Vote taken back"
        return ChangedComment(message, community.comment(comment))

    action: Action = "vote-comment" if is_up else "unvote-comment"
    return await writes.perform(body, action, str(comment_id), ChangedComment, change)


HANDLERS = [vote_for_discussion, take_vote_back, vote_in_market]
