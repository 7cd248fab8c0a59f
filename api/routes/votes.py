"""Votes of a market and their counts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.dependencies import (
    NAMED_READ_ERRORS,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    VoteKindPath,
)
from api.markets.lookup import require_market_id
from api.markets.vote_counts import (
    MarketVoteCounts,
    VoteCount,
    load_vote_count,
    load_vote_counts,
)
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas import formats, voting
from zmart_pipelines.store.queries import votes


class VoteStats(formats.ExactIntegers, frozen=True, kw_only=True):
    """The counts of one kind, by weight. `approval_rate` is in percent, as text."""

    likes: formats.LargeInt
    dislikes: formats.LargeInt
    total: formats.LargeInt
    approval_rate: str


class VoteList(msgspec.Struct, frozen=True):
    """A page of votes with the counts of the latest round.

    `count` is the number of votes on all pages, in all rounds.
    """

    votes: list[voting.Vote]
    stats: VoteStats
    market_id: str
    type: str
    count: int
    offset: int
    limit: int
    next: str | None


class KindVoteCount(msgspec.Struct, frozen=True, rename="camel"):
    """The counts of one kind of vote."""

    success: bool
    market_id: str
    counts: VoteCount


@get(
    "/api/markets/{market:str}/votes",
    tags=["votes"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(votes.ORDER)),
)
async def list_market_votes(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: MarketPath,
    type_: Annotated[Literal["proposal", "dispute"], QueryParameter(name="type")] = "proposal",
    limit: Limit = 100,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[VoteList]:
    """List a market's votes of one kind, on chain and by ballot, newest first."""
    key = identifiers.market_key(market, "market")
    page = pages.requested(votes.ORDER, limit, offset, cursor)

    def read(conn: Connection) -> VoteList:
        market_id = require_market_id(conn, key)
        rows = votes.votes_of_market(
            conn,
            market_id,
            kind=type_,
            limit=page.fetch,
            offset=page.offset,
            after=page.after,
        )
        shown, next_ = page.cut(rows)
        count = load_vote_count(conn, market_id, type_)
        rate = 100 * count.likes / count.total if count.total else 0
        return VoteList(
            [voting.vote(row) for row in shown],
            VoteStats(
                likes=count.likes,
                dislikes=count.dislikes,
                total=count.total,
                approval_rate=f"{rate:.2f}",
            ),
            market_id.hex(),
            type_,
            votes.count_of_market(conn, market_id, kind=type_),
            offset,
            limit,
            next_,
        )

    body = await database.read(read)
    return pages.response(request, body, body.next)


@get("/api/votes/{market:str}", tags=["votes"], responses=NAMED_READ_ERRORS)
async def get_market_vote_counts(database: DatabaseDep, market: MarketPath) -> MarketVoteCounts:
    """Get the running counts of both kinds of vote."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> MarketVoteCounts:
        market_id = require_market_id(conn, key)
        return load_vote_counts(conn, market_id)

    return await database.read(read)


@get("/api/votes/{kind:str}/{market:str}", tags=["votes"], responses=NAMED_READ_ERRORS)
async def get_vote_count(
    database: DatabaseDep, kind: VoteKindPath, market: MarketPath
) -> KindVoteCount:
    """Get the running counts of one kind of vote."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> KindVoteCount:
        market_id = require_market_id(conn, key)
        return KindVoteCount(True, market_id.hex(), load_vote_count(conn, market_id, kind))

    return await database.read(read)


HANDLERS = [list_market_votes, get_market_vote_counts, get_vote_count]
