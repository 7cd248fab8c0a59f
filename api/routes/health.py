"""Is the process able to answer, and is each service fresh?"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import PathParameter
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import webhook_auth
from api.database import Database
from api.dependencies import ChainDep, DatabaseDep, SettingsDep, failures, operation
from api.errors import not_found
from zmart_pipelines.breakers.machine import Breaker
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.monitoring import health
from zmart_pipelines.store import migrate
from zmart_pipelines.store.queries.breakers import Breaker as StoredBreaker
from zmart_pipelines.store.queries.breakers import breakers as stored_breakers

_STARTED = time.monotonic()


class ProcessHealth(msgspec.Struct, frozen=True):
    """This process: ``postgres`` is ok or down, ``migrations`` ok, behind or unknown."""

    status: str
    timestamp: str
    uptime: float
    environment: str
    postgres: str
    migrations: str


class ServiceState(msgspec.Struct, frozen=True):
    """One service's freshness; 503 only when it is ``down``, past its deadline."""

    status: str
    service: str
    deadline_seconds: int
    silent_seconds: int | None
    last_success_at: str | None
    last_attempt_at: str | None
    last_error_at: str | None
    detail: dict[str, Any]
    timestamp: str


class AllServices(msgspec.Struct, frozen=True):
    """Every service's freshness; ``status`` is the worst of them."""

    status: str
    services: list[ServiceState]
    timestamp: str


class BreakerState(msgspec.Struct, frozen=True):
    """What is left alone after failures. ``scope`` is ``pipelines``, or ``api`` for what only the
    process that answers has seen."""

    name: str
    scope: str
    state: str
    failures: int
    opened_at: str | None
    wait_until: str | None


class AllBreakers(msgspec.Struct, frozen=True):
    """Every breaker that was ever needed; ``status`` is degraded while one is not closed."""

    status: str
    breakers: list[BreakerState]
    timestamp: str


class WebhookHealth(msgspec.Struct, frozen=True):
    """Whether deliveries can be received."""

    status: str
    service: str
    database: str
    webhooks: str
    timestamp: str


def _now() -> str:
    return formats.iso8601(datetime.now(UTC))


async def _migrations(database: Database) -> str:
    """Of the tables: ok or behind; unknown where Postgres does not answer."""

    def read(conn: Connection) -> str:
        return "ok" if migrate.has_current_schema(conn) else "behind"

    try:
        return await database.read(read)
    except (DBAPIError, PoolTimeout):
        return "unknown"


@get(
    ["/health", "/api/health"],
    operation_id=operation("getHealth"),
    tags=["health"],
    responses=failures(),
)
async def process(settings: SettingsDep, database: DatabaseDep) -> Response[ProcessHealth]:
    """Whether this process answers, reaches Postgres, and finds its tables; 503 if not."""
    migrations = await _migrations(database)
    healthy = migrations == "ok"
    return Response(
        ProcessHealth(
            status="healthy" if healthy else "unhealthy",
            timestamp=_now(),
            uptime=round(time.monotonic() - _STARTED, 3),
            environment=settings.solana_cluster,
            postgres="down" if migrations == "unknown" else "ok",
            migrations=migrations,
        ),
        status_code=200 if healthy else 503,
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else formats.iso8601(moment)


def _state(row: health.ServiceHealth) -> ServiceState:
    return ServiceState(
        status=row.state,
        service=row.service,
        deadline_seconds=row.deadline_seconds,
        silent_seconds=row.silent_seconds,
        last_success_at=_time(row.last_success_at),
        last_attempt_at=_time(row.last_attempt_at),
        last_error_at=_time(row.last_error_at),
        detail=row.detail,
        timestamp=_now(),
    )


@get(
    "/health/{service:str}",
    operation_id="getServiceHealth",
    tags=["health"],
    responses=failures(400, 404),
)
async def service(
    database: DatabaseDep,
    service: Annotated[str, PathParameter(description=f"One of {', '.join(health.SERVICES)}.")],
) -> Response[ServiceState]:
    """Whether one service did its work lately: ok, starting, idle or degraded; 503 down."""
    if service not in health.SERVICES:
        raise not_found("Service")
    found = (await database.read(lambda conn: health.health(conn, service)))[service]
    return Response(_state(found), status_code=503 if found.is_down else 200)


_WORST = ("down", "degraded", "starting", "ok", "idle")


@get(
    "/health/services",
    operation_id="listServiceHealth",
    tags=["health"],
    responses=failures(),
)
async def services(database: DatabaseDep) -> Response[AllServices]:
    """Every service's freshness; 503 when one is down."""
    found = list((await database.read(lambda conn: health.health(conn))).values())
    worst = min((row.state for row in found), key=_WORST.index)
    return Response(
        AllServices(worst, [_state(row) for row in found], _now()),
        status_code=503 if worst == "down" else 200,
    )


@get(
    "/health/breakers",
    operation_id="listBreakers",
    tags=["health"],
    responses=failures(),
)
async def breakers(database: DatabaseDep, chain: ChainDep) -> AllBreakers:
    """Which RPC endpoints and actions are left alone after failures; 200 in any case."""
    of_pipelines = await database.read(stored_breakers)
    of_api = sorted(chain.guard.breakers().items())
    rows = [_breaker("pipelines", row.name, row) for row in of_pipelines]
    rows += [_breaker("api", name, row) for name, row in of_api]
    return AllBreakers(
        "ok" if all(row.state == "closed" for row in rows) else "degraded", rows, _now()
    )


def _breaker(scope: str, name: str, row: StoredBreaker | Breaker) -> BreakerState:
    return BreakerState(
        name=name,
        scope=scope,
        state=row.state,
        failures=row.failures,
        opened_at=_time(row.opened_at),
        wait_until=_time(row.wait_until),
    )


@get(
    "/api/webhooks/health",
    operation_id="getWebhookHealth",
    tags=["health"],
    responses=failures(),
)
async def webhooks(settings: SettingsDep, database: DatabaseDep) -> Response[WebhookHealth]:
    """Whether deliveries can be received; 503 if not."""
    ready = await _migrations(database) == "ok"
    return Response(
        WebhookHealth(
            status="ok" if ready else "error",
            service="zmart-event-indexer",
            database="ok" if ready else "down",
            webhooks="on" if webhook_auth.enabled(settings) else "off",
            timestamp=_now(),
        ),
        status_code=200 if ready else 503,
    )


HANDLERS = [process, service, services, breakers, webhooks]
