"""Webhook deliveries that could not be ingested, for operators."""

from __future__ import annotations

import msgspec
from litestar import get

from api import caching
from api.dependencies import CallerDep, DatabaseDep, Limit, error_responses
from api.identity.caller import require_operator
from api.openapi import security
from zmart_pipelines.client_schemas.formats import iso8601
from zmart_pipelines.store.queries.failed_deliveries import failed_deliveries


class FailedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A stored delivery of a webhook that could not be ingested.

    `error` is why the last of its `attempts` failed. The order `redeliver` ingests it again.
    """

    id: int
    source: str
    transaction_count: int
    attempts: int
    error: str | None
    received_at: str


class FailedDeliveryList(msgspec.Struct, frozen=True):
    """The newest failed deliveries."""

    deliveries: list[FailedDelivery]
    count: int


@get(
    "/api/deliveries/failed",
    tags=["operators"],
    responses=error_responses(400, 401, 403),
    cache_control=caching.NO_STORE,
    security=security.OPERATOR,
)
async def list_failed_deliveries(
    database: DatabaseDep, caller: CallerDep, limit: Limit = 50
) -> FailedDeliveryList:
    """List webhook deliveries that could not be ingested, newest first; only operators may."""
    require_operator(caller)
    rows = await database.read(lambda conn: failed_deliveries(conn, limit=limit))
    shown = [
        FailedDelivery(
            id=row.id,
            source=row.source,
            transaction_count=row.transaction_count,
            attempts=row.attempts,
            error=row.error,
            received_at=iso8601(row.received_at),
        )
        for row in rows
    ]
    return FailedDeliveryList(shown, len(shown))


HANDLERS = [list_failed_deliveries]
