"""What one market waits for, and what is in its way."""

from __future__ import annotations

from litestar import get
from sqlalchemy import Connection

from api.dependencies import DatabaseDep, MarketPath, SettingsDep, error_responses
from api.markets.lookup import require_market
from api.requests import identifiers
from zmart_pipelines.client_schemas.market_status import MarketStatus
from zmart_pipelines.health.market_status import read_market_status


@get(
    "/api/markets/{market:str}/status",
    tags=["markets"],
    responses=error_responses(400, 404),
)
async def get_market_status(
    database: DatabaseDep, settings: SettingsDep, market: MarketPath
) -> MarketStatus:
    """Get what a market waits for, who must act until when, and what is in its way."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> MarketStatus:
        return read_market_status(conn, settings, require_market(conn, key))

    return await database.read(read)


HANDLERS = [get_market_status]
