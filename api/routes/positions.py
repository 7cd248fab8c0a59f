"""Positions of a wallet, with what they cost, are worth and can claim."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from litestar import Request, Response, get
from litestar.datastructures import ResponseHeader
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import identifiers, pages
from api.database import Database
from api.dependencies import (
    NAMED_READ_ERRORS,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    WalletPath,
)
from api.errors import not_found
from api.market_lookup import require_market_id
from api.market_states import StateQuery, parse_state
from zmart_pipelines.client_schemas import positions as schemas
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.store.queries import positions

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

Held: TypeAlias = tuple[positions.Position, positions.PositionResult]


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
    made = pages.response(request, [schemas.position(*one) for one in held], following)
    made.set_header(TOTAL_COUNT.name, str(total))
    return made


@get(
    "/api/users/{wallet:str}/positions",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK, TOTAL_COUNT],
)
async def list_portfolio(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    wallet: WalletPath,
    status: StatusQuery = None,
    state_: StateQuery = None,
    limit: Limit = 100,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[list[schemas.PortfolioPosition]]:
    """List a wallet's positions with amounts as text, as the portfolio page reads them.

    The response is a bare array; `Link` and `X-Total-Count` page it.
    """
    page = pages.requested(positions.BY_LAST_TRADE, limit, offset, cursor)
    held, following, total = await _read(database, wallet, page, status, parse_state(state_))
    made = pages.response(request, [schemas.portfolio_position(*one) for one in held], following)
    made.set_header(TOTAL_COUNT.name, str(total))
    return made


@get(
    "/api/users/{wallet:str}/positions/{market:str}",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
)
async def get_user_position(
    database: DatabaseDep, wallet: WalletPath, market: MarketPath
) -> schemas.PortfolioPosition:
    """Get a wallet's position in a market, with amounts as text; 404 where it has none."""
    user, key = identifiers.wallet(wallet), identifiers.market_key(market, "market")

    def read(conn: Connection) -> schemas.PortfolioPosition:
        held = positions.get(conn, require_market_id(conn, key), user)
        if held is None:
            raise not_found("Position")
        ((row, result),) = wallet_reads.with_results(conn, user, [held])
        return schemas.portfolio_position(row, result)

    return await database.read(read)


HANDLERS = [list_positions, list_portfolio, get_user_position]
