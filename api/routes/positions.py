"""Positions of a wallet, with what they cost, are worth and can claim."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import ResponseHeader
from litestar.params import QueryParameter
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from api.database import Database
from api.dependencies import (
    NAMED_READ_ERRORS,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    PastStatesDep,
    VerificationsDep,
    WalletPath,
    error_responses,
)
from api.errors import ApiError, FieldError, not_found
from api.identity.auth import client_address
from api.markets.lookup import require_market_id
from api.markets.past_positions import positions_at
from api.markets.past_states import AT_RULE, At, PastStates, PointInTime, parse_at
from api.markets.states import STATE_RULE, StateQuery, parse_state
from api.markets.verifications import Verification, Verify, verification_rule
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas import positions as schemas
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.store.queries import past_positions, positions
from zmart_pipelines.store.queries.keyset import Order

StatusQuery: TypeAlias = Annotated[
    positions.Status | None,
    QueryParameter(
        description="`open`: the market is not final and shares are held. `claimable`: it is, and"
        " the payout formula gives something that is not claimed. `closed`: all others."
    ),
]

TOTAL_COUNT: Final = ResponseHeader(
    name="X-Total-Count",
    description="The number of rows on all pages.",
    documentation_only=True,
)

RowT = TypeVar("RowT")
Held: TypeAlias = tuple[positions.Position, positions.PositionResult]


class UserPosition(schemas.PortfolioPosition, frozen=True, kw_only=True):
    """A wallet's position in one market.

    `at` is present where the request asks for a state of the past, `verification` where it asks to
    compare the position's account with the ledger.
    """

    at: PointInTime | UnsetType = UNSET
    verification: Verification | UnsetType = UNSET


def _without_filter(given: query_rules.Given) -> None:
    """Raise ApiError 400 if positions of the past are to be filtered by their status or state."""
    filters = sorted(given.names & {"status", "state"})
    if "at" in given.names and filters:
        reason = "must not be given together with at"
        raise ApiError(400, reason, *(FieldError(name, reason) for name in filters))


def _order(given: query_rules.Given) -> Order:
    is_past = "at" in given.names
    return past_positions.BY_LAST_TRADE if is_past else positions.BY_LAST_TRADE


async def _read_past(
    past_states: PastStates, wallet: str, page: pages.Page, at: str
) -> tuple[list[Held], str | None, int]:
    """Return the page's positions as they were, the next cursor and the number of all."""
    key = identifiers.wallet(wallet)

    def read(conn: Connection, point: PointInTime) -> tuple[list[Held], str | None, int]:
        rows = past_positions.traded_markets(
            conn, key, point.slot, after=page.after, limit=page.fetch, offset=page.offset
        )
        shown, following = page.cut(rows)
        market_ids = [row.market_id for row in shown]
        held = positions_at(conn, past_states, key, market_ids, point.slot)
        return held, following, past_positions.count_traded_markets(conn, key, point.slot)

    return await past_states.read(parse_at(at), read)


async def _read(
    database: Database,
    wallet: str,
    page: pages.Page,
    status: positions.Status | None,
    state: int | None,
) -> tuple[list[Held], str | None, int]:
    """Return the page's positions with their results, the next cursor and the number of all."""
    key = identifiers.wallet(wallet)

    def read(conn: Connection) -> tuple[list[Held], str | None, int]:
        rows = positions.of_user(
            conn,
            key,
            status=status,
            state=state,
            after=page.after,
            limit=page.fetch,
            offset=page.offset,
        )
        shown, following = page.cut(rows)
        total = positions.count_of_user(conn, key, status=status, state=state)
        return wallet_reads.with_results(conn, key, shown), following, total

    return await database.read(read)


@get(
    "/api/positions/{wallet:str}",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK, TOTAL_COUNT],
    opt=query_rules.stated(STATE_RULE, pages.rule(positions.BY_LAST_TRADE)),
)
async def list_positions(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    wallet: WalletPath,
    status: StatusQuery = None,
    state_: StateQuery = None,
    limit: Limit = 100,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[list[schemas.Position]]:
    """List a wallet's positions with amounts as numbers, last traded first.

    The response is a bare array; `Link` and `X-Total-Count` page it.
    """
    page = pages.requested(positions.BY_LAST_TRADE, limit, offset, cursor)
    held, following, total = await _read(database, wallet, page, status, parse_state(state_))
    return _listed(request, [schemas.position(*one) for one in held], following, total)


@get(
    "/api/users/{wallet:str}/positions",
    tags=["wallets"],
    responses=error_responses(400, 404, 422),
    response_headers=[pages.LINK, TOTAL_COUNT],
    opt=query_rules.stated(AT_RULE, STATE_RULE, _without_filter, pages.rule(_order)),
)
async def list_portfolio(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    past_states: PastStatesDep,
    wallet: WalletPath,
    at: At = None,
    status: StatusQuery = None,
    state_: StateQuery = None,
    limit: Limit = 100,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[list[schemas.PortfolioPosition]]:
    """List a wallet's positions with amounts as text, as the portfolio page reads them.

    The response is a bare array; `Link` and `X-Total-Count` page it. With `at` the positions are
    those after a slot or at a time, and no filter can be given.
    """
    if at is not None:
        past_page = pages.requested(past_positions.BY_LAST_TRADE, limit, offset, cursor)
        held, following, total = await _read_past(past_states, wallet, past_page, at)
    else:
        page = pages.requested(positions.BY_LAST_TRADE, limit, offset, cursor)
        held, following, total = await _read(database, wallet, page, status, parse_state(state_))
    return _listed(request, [schemas.portfolio_position(*one) for one in held], following, total)


def _listed(
    request: Request[Any, Any, Any], rows: list[RowT], following: str | None, total: int
) -> Response[list[RowT]]:
    """Return a bare array, which its headers page."""
    made = pages.response(request, rows, following)
    made.set_header(TOTAL_COUNT.name, str(total))
    return made


@get(
    "/api/users/{wallet:str}/positions/{market:str}",
    tags=["wallets"],
    responses=error_responses(400, 404, 422, 429),
    opt=query_rules.stated(AT_RULE, verification_rule),
)
async def get_user_position(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    past_states: PastStatesDep,
    verifications: VerificationsDep,
    wallet: WalletPath,
    market: MarketPath,
    at: At = None,
    verify: Verify = False,
) -> UserPosition:
    """Get a wallet's position in a market, with amounts as text; 404 where it has none.

    With `at` it is the position after a slot or at a time.
    """
    user, key = identifiers.wallet(wallet), identifiers.market_key(market, "market")
    if at is not None:
        return await _past_position(past_states, user, key, at)

    def read(conn: Connection) -> schemas.PortfolioPosition:
        held = positions.get(conn, require_market_id(conn, key), user)
        if held is None:
            raise not_found("Position")
        ((row, result),) = wallet_reads.with_results(conn, user, [held])
        return schemas.portfolio_position(row, result)

    position = await database.read(read)
    if not verify:
        return _user_position(position)
    market_id = bytes.fromhex(position.market_id)
    found = await verifications.position(market_id, user, client_address(request))
    return _user_position(position, verification=found)


async def _past_position(past_states: PastStates, user: bytes, key: bytes, at: str) -> UserPosition:
    def read(conn: Connection, point: PointInTime) -> UserPosition:
        market_id = require_market_id(conn, key)
        held = positions_at(conn, past_states, user, [market_id], point.slot)
        if not held:
            raise not_found("Position")
        return _user_position(schemas.portfolio_position(*held[0]), at=point)

    return await past_states.read(parse_at(at), read)


def _user_position(
    position: schemas.PortfolioPosition,
    *,
    at: PointInTime | UnsetType = UNSET,
    verification: Verification | UnsetType = UNSET,
) -> UserPosition:
    return UserPosition(**msgspec.structs.asdict(position), at=at, verification=verification)


HANDLERS = [list_positions, list_portfolio, get_user_position]
