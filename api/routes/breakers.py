"""Circuit breakers of RPC endpoints and submission actions."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar import get

from api.dependencies import ChainDep, DatabaseDep, error_responses
from zmart_pipelines.breakers.machine import Breaker
from zmart_pipelines.client_schemas.formats import iso8601, iso8601_or_none
from zmart_pipelines.store.queries.breakers import BreakerStatus as StoredBreaker
from zmart_pipelines.store.queries.breakers import breaker_statuses as stored_breakers


class BreakerState(msgspec.Struct, frozen=True):
    """A circuit breaker.

    `scope` is `pipelines`, or `api` for the breakers of the answering process.
    """

    name: str
    scope: str
    state: str
    failures: int
    opened_at: str | None
    wait_until: str | None


class BreakerList(msgspec.Struct, frozen=True):
    """Every breaker that ever counted a failure; `status` is `degraded` unless all are closed."""

    status: str
    breakers: list[BreakerState]
    timestamp: str


@get("/health/breakers", tags=["health"], responses=error_responses())
async def list_breakers(database: DatabaseDep, chain: ChainDep) -> BreakerList:
    """List the circuit breakers of RPC endpoints and submission actions; always 200."""
    stored = await database.read(stored_breakers)
    local = sorted(chain.guard.breakers().items())
    rows = [_breaker_state("pipelines", row.name, row) for row in stored]
    rows += [_breaker_state("api", name, row) for name, row in local]
    status = "ok" if all(row.state == "closed" for row in rows) else "degraded"
    return BreakerList(status, rows, iso8601(datetime.now(UTC)))


def _breaker_state(scope: str, name: str, row: StoredBreaker | Breaker) -> BreakerState:
    return BreakerState(
        name=name,
        scope=scope,
        state=row.state,
        failures=row.failures,
        opened_at=iso8601_or_none(row.opened_at),
        wait_until=iso8601_or_none(row.wait_until),
    )


HANDLERS = [list_breakers]
