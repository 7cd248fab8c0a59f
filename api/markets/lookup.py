"""Find the market that a request names by id or address."""

from __future__ import annotations

from sqlalchemy import Connection

from api.errors import not_found
from zmart_pipelines.store.queries import markets


def require_market(conn: Connection, key: bytes) -> markets.Market:
    """Return the market with this id or address; raise ApiError 404 where there is none."""
    market = markets.resolve(conn, key)
    if market is None:
        raise not_found("Market")
    return market


def require_market_id(conn: Connection, key: bytes) -> bytes:
    """Return the id of the market with this id or address; raise ApiError 404 likewise."""
    market_id = markets.id_of(conn, key)
    if market_id is None:
        raise not_found("Market")
    return market_id
