"""Circuit breakers of RPC endpoints and submission actions."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar import get

from api.breaker_states import BreakerState, breaker_states
from api.dependencies import ChainDep, DatabaseDep, error_responses
from zmart_pipelines.client_schemas.formats import iso8601
from zmart_pipelines.store.queries.breakers import breaker_statuses


class BreakerList(msgspec.Struct, frozen=True):
    """Every breaker that ever counted a failure; `status` is `degraded` unless all are closed."""

    status: str
    breakers: list[BreakerState]
    timestamp: str


@get("/health/breakers", tags=["health"], responses=error_responses())
async def list_breakers(database: DatabaseDep, chain: ChainDep) -> BreakerList:
    """List the circuit breakers of RPC endpoints and submission actions; always 200."""
    stored = await database.read(breaker_statuses)
    rows = breaker_states(stored, chain.guard.breakers())
    status = "ok" if all(row.state == "closed" for row in rows) else "degraded"
    return BreakerList(status, rows, iso8601(datetime.now(UTC)))


HANDLERS = [list_breakers]
