"""Feeds of the program's events: of all markets, of one, of a wallet."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter, SkipValidation
from litestar.response import Redirect
from sqlalchemy import Connection

from api.database import Database
from api.dependencies import (
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    WalletPath,
    error_responses,
)
from api.markets.lookup import require_market_id
from api.requests import identifiers, moments, pages, query_rules
from api.requests.validation import check_request
from zmart_pipelines.client_schemas import events as schemas
from zmart_pipelines.store.queries import events

EventName: TypeAlias = Literal[
    "GlobalConfigInitialized",
    "ConfigUpdated",
    "ProtocolPauseStatusChanged",
    "MarketCreated",
    "ProposalVoteSubmitted",
    "ProposalAggregated",
    "ProposalApproved",
    "MarketActivated",
    "MarketCancelled",
    "SharesBought",
    "SharesSold",
    "MarketResolved",
    "DisputeInitiated",
    "DisputeVoteSubmitted",
    "DisputeAggregated",
    "MarketFinalized",
    "WinningsClaimed",
    "LiquidityWithdrawn",
]
Types: TypeAlias = Annotated[
    list[EventName] | None,
    QueryParameter(name="type", max_items=18, description="Types of events; may be repeated."),
]
Level: TypeAlias = Literal["reported", "confirmed", "finalized"]
MinimumCommitment: TypeAlias = Annotated[
    Level,
    QueryParameter(description="The least commitment of an event."),
]
Include: TypeAlias = Annotated[
    Literal["orphaned"] | None,
    QueryParameter(
        description="`orphaned` also lists events that no longer count: of forks that were"
        " dropped, and of readings that turned out to be false."
    ),
]
FromSlot: TypeAlias = Annotated[
    int | None, QueryParameter(ge=0, le=2**63 - 1, description="First slot, inclusive.")
]
ToSlot: TypeAlias = Annotated[
    int | None, QueryParameter(ge=0, le=2**63 - 1, description="Last slot, inclusive.")
]
From: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="from",
        max_length=40,
        description="Earliest block time, inclusive: Unix seconds or ISO 8601 with an offset.",
    ),
]
To: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="to",
        max_length=40,
        description="Latest block time, exclusive: Unix seconds or ISO 8601 with an offset.",
    ),
]
Direction: TypeAlias = Annotated[
    Literal["asc", "desc"], QueryParameter(description="Order in the chain; `desc`: newest first.")
]

_LEVELS: tuple[Level, ...] = get_args(Level)


class EventList(msgspec.Struct, frozen=True):
    """A page of events in the chain's order. `count` is the page's."""

    events: list[schemas.Event]
    count: int
    limit: int
    offset: int
    next: str | None


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks of a feed. Times are chain seconds, slots inclusive."""

    types: list[EventName] | None
    levels: tuple[str, ...]
    first_slot: int | None
    last_slot: int | None
    begins: int | None
    ends: int | None
    descending: bool
    page: pages.Page


FeedQueryDep: TypeAlias = NamedDependency[SkipValidation[FeedQuery]]


def feed_query(
    type_: Types = None,
    commitment: MinimumCommitment = "reported",
    include: Include = None,
    from_slot: FromSlot = None,
    to_slot: ToSlot = None,
    from_: From = None,
    to: To = None,
    order: Direction = "desc",
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> FeedQuery:
    """Read the parameters that the feeds have in common.

    Raises:
        ApiError: 400 for invalid ones.
    """
    descending = order == "desc"
    levels = _LEVELS[_LEVELS.index(commitment) :]
    return FeedQuery(
        types=type_,
        levels=(*levels, "orphaned") if include else levels,
        first_slot=from_slot,
        last_slot=to_slot,
        begins=None if from_ is None else moments.unix_seconds(from_, "from"),
        ends=None if to is None else moments.unix_seconds(to, "to"),
        descending=descending,
        page=pages.requested(events.order(descending=descending), limit, offset, cursor),
    )


_RULES = query_rules.stated(
    *moments.RANGE,
    pages.rule(lambda given: events.order(descending=given.query.get("order") != "asc")),
)
After: TypeAlias = Annotated[
    int | None,
    QueryParameter(
        ge=0,
        le=2**63 - 1,
        description="A position of the live updates: the answer is a redirect to `/api/stream`,"
        " whose parameters are the others then.",
    ),
]


async def _follow_or_check(request: Request[Any, Any, Any]) -> Redirect | None:
    """Redirect to the live updates where these are asked for; their parameters are others."""
    if "after" not in request.query_params:
        await check_request(request)
        return None
    query = request.scope["query_string"].decode("latin-1")
    return Redirect(f"/api/stream?{query}", status_code=307)


_TO_STREAM = ResponseSpec(None, description="To the live updates.", generate_examples=False)
FEED = {"feed": Provide(feed_query, sync_to_thread=False)}


def _read(
    conn: Connection, query: FeedQuery, *, market_id: bytes | None = None, wallet: str | None = None
) -> tuple[list[schemas.Event], str | None]:
    slots = _slots(conn, query)
    if slots is None:
        return [], None
    wanted = events.EventFilter(
        market_id=market_id,
        wallet=wallet,
        names=tuple(dict.fromkeys(query.types or ())),
        levels=query.levels,
        first_slot=slots[0],
        last_slot=slots[1],
    )
    page = query.page
    rows = events.find_events(
        conn,
        wanted,
        descending=query.descending,
        after=page.after,
        limit=page.fetch,
        offset=page.offset,
    )
    shown, following = page.cut(rows)
    return [schemas.event(row) for row in shown], following


def _slots(conn: Connection, query: FeedQuery) -> tuple[int | None, int | None] | None:
    """Return the first and the last slot of the feed; None where the times hold no slot."""
    first, last = query.first_slot, query.last_slot
    if query.begins is not None:
        found = events.first_slot_from(conn, query.begins)
        if found is None:
            return None
        first = found if first is None else max(first, found)
    if query.ends is not None:
        found = events.last_slot_until(conn, query.ends - 1)
        if found is None:
            return None
        last = found if last is None else min(last, found)
    return first, last


async def _answer(
    request: Request[Any, Any, Any],
    database: Database,
    query: FeedQuery,
    *,
    market: bytes | None = None,
    wallet: str | None = None,
) -> Response[EventList]:
    def read(conn: Connection) -> tuple[list[schemas.Event], str | None]:
        market_id = None if market is None else require_market_id(conn, market)
        return _read(conn, query, market_id=market_id, wallet=wallet)

    rows, following = await database.read(read)
    page = query.page
    body = EventList(rows, len(rows), page.limit, page.offset, following)
    return pages.response(request, body, following)


@get(
    "/api/events",
    tags=["ledger"],
    responses={307: _TO_STREAM, **error_responses(400)},
    response_headers=[pages.LINK],
    dependencies=FEED,
    before_request=_follow_or_check,
    opt=_RULES,
)
async def list_events(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    feed: FeedQueryDep,
    # For the document: requests with it are redirected before.
    after: After = None,
) -> Response[EventList]:
    """List the program's events in the chain's order, newest first.

    Events that no longer count are left out, unless `include=orphaned`. With `after` this is the
    address of the live updates.
    """
    return await _answer(request, database, feed)


@get(
    "/api/markets/{market:str}/events",
    tags=["ledger"],
    responses=error_responses(400, 404),
    response_headers=[pages.LINK],
    dependencies=FEED,
    opt=_RULES,
)
async def list_market_events(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: MarketPath,
    feed: FeedQueryDep,
) -> Response[EventList]:
    """List a market's events in the chain's order, newest first."""
    key = identifiers.market_key(market, "market")
    return await _answer(request, database, feed, market=key)


@get(
    "/api/users/{wallet:str}/events",
    tags=["ledger"],
    responses=error_responses(400, 404),
    response_headers=[pages.LINK],
    dependencies=FEED,
    opt=_RULES,
)
async def list_user_events(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    wallet: WalletPath,
    feed: FeedQueryDep,
) -> Response[EventList]:
    """List the events that a wallet's transactions emitted, newest first."""
    identifiers.wallet(wallet)
    return await _answer(request, database, feed, wallet=wallet)


HANDLERS = [list_events, list_market_events, list_user_events]
