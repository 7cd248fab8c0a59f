"""The largest positions in a market."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import DatabaseDep, MarketPath, error_responses
from api.markets.lookup import require_market_id
from api.requests import identifiers
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.store.queries import positions

MAX_HOLDERS = 100


class Holder(formats.ExactIntegers, frozen=True, kw_only=True):
    """A wallet's position in the market.

    Shares have 9 decimals, amounts are lamports. `total_invested` is what was paid in, fees
    included; `current_value` is what was claimed, what the payout formula gives once the market is
    final, and before that both payouts by the price.
    """

    user_wallet: str
    shares_yes: formats.LargeInt
    shares_no: formats.LargeInt
    total_invested: formats.LargeInt
    current_value: formats.LargeInt
    status: positions.Status
    has_claimed: bool
    commitment: str


class HolderList(msgspec.Struct, frozen=True):
    """A market's positions, those with the largest investment first."""

    market_id: str
    holders: list[Holder]
    count: int


def _holder(row: positions.Position) -> Holder:
    return Holder(
        user_wallet=formats.base58_key(row.user),
        shares_yes=row.shares_yes,
        shares_no=row.shares_no,
        total_invested=row.total_invested,
        current_value=row.current_value,
        status=row.status,
        has_claimed=row.has_claimed,
        commitment=row.commitment,
    )


@get(
    "/api/markets/{market:str}/holders",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=error_responses(400, 404),
)
async def list_market_holders(
    database: DatabaseDep,
    market: MarketPath,
    limit: Annotated[
        int, QueryParameter(ge=1, le=MAX_HOLDERS, description="Maximum number of positions.")
    ] = 20,
) -> HolderList:
    """List the largest positions in a market, by what was paid in."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> HolderList:
        market_id = require_market_id(conn, key)
        rows = positions.positions_of_market(conn, market_id, limit=limit)
        return HolderList(market_id.hex(), [_holder(row) for row in rows], len(rows))

    return await database.read(read)


HANDLERS = [list_market_holders]
