"""A market with what only a single one has: the point of the past it was read at, its account."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from api.database import Database
from api.markets.lookup import require_market
from api.markets.past_states import PastStates, PointInTime, parse_at
from api.markets.verifications import Verification, Verifications
from zmart_pipelines.client_schemas import markets as schemas


class MarketDetail(schemas.Market, frozen=True, kw_only=True):
    """A market.

    `at` is present where the request asks for a state of the past: the market's state, amounts,
    times and commitment are then those after that slot, `as_of_slot` is the slot of the last event
    before it, and `updated_at` that event's block time. The question is that of now; counts of
    votes are those that the program had recorded, without ballots that it had not been sent.
    `verification` is present where the request asks for it.
    """

    at: PointInTime | UnsetType = UNSET
    verification: Verification | UnsetType = UNSET


def _detail(
    market: schemas.Market,
    *,
    at: PointInTime | UnsetType = UNSET,
    verification: Verification | UnsetType = UNSET,
) -> MarketDetail:
    fields = msgspec.structs.asdict(market)
    del fields["exact"]
    return MarketDetail(**fields, at=at, verification=verification)


async def market_at(past_states: PastStates, key: bytes, at: str) -> MarketDetail:
    """Return the market with this id or address as it was at ``at``.

    Raises:
        ApiError: 400, 404 or 422; see ``PastStates``.
    """

    def read(conn: Connection, point: PointInTime) -> MarketDetail:
        row = past_states.market(conn, require_market(conn, key), point)
        return _detail(schemas.market(row), at=point)

    return await past_states.read(parse_at(at), read)


async def verified_market(
    database: Database, verifications: Verifications, key: bytes, client: str
) -> MarketDetail:
    """Return the market with this id or address with its account beside it.

    Args:
        client: The client's address.

    Raises:
        ApiError: 404, 429 or 503; see ``Verifications``.
    """
    row = await database.read(lambda conn: require_market(conn, key))
    found = await verifications.market(row.market_id, client)
    return _detail(schemas.market(row), verification=found)
