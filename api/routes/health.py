"""Health: of this process, and the freshness of every service."""

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
from api.dependencies import DatabaseDep, SettingsDep, error_responses
from api.errors import not_found
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.monitoring import health
from zmart_pipelines.store import migrate

_STARTED = time.monotonic()


class ProcessHealth(msgspec.Struct, frozen=True):
    """This process. `postgres` is `ok` or `down`; `migrations` is `ok`, `behind` or `unknown`."""

    status: str
    timestamp: str
    uptime: float
    environment: str
    postgres: str
    migrations: str


class ServiceHealth(msgspec.Struct, frozen=True):
    """The freshness of one service; `down` when it is past its deadline."""

    status: str
    service: str
    deadline_seconds: int
    silent_seconds: int | None
    last_success_at: str | None
    last_attempt_at: str | None
    last_error_at: str | None
    detail: dict[str, Any]
    timestamp: str


class ServiceHealthList(msgspec.Struct, frozen=True):
    """The freshness of every service; `status` is the worst of them."""

    status: str
    services: list[ServiceHealth]
    timestamp: str


class WebhookHealth(msgspec.Struct, frozen=True):
    """Whether webhook deliveries can be received."""

    status: str
    service: str
    database: str
    webhooks: str
    timestamp: str


def _now() -> str:
    return formats.iso8601(datetime.now(UTC))


async def _migration_status(database: Database) -> str:
    """Return `ok` or `behind`; `unknown` where Postgres does not answer."""

    def read(conn: Connection) -> str:
        return "ok" if migrate.has_current_schema(conn) else "behind"

    try:
        return await database.read(read)
    except (DBAPIError, PoolTimeout):
        return "unknown"


@get(
    ["/health", "/api/health"],
    tags=["health"],
    responses=error_responses(),
)
async def get_health(settings: SettingsDep, database: DatabaseDep) -> Response[ProcessHealth]:
    """Check that this process answers and that Postgres is up and migrated; 503 otherwise."""
    migrations = await _migration_status(database)
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


def _service_health(row: health.ServiceHealth) -> ServiceHealth:
    return ServiceHealth(
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
    tags=["health"],
    responses=error_responses(400, 404),
)
async def get_service_health(
    database: DatabaseDep,
    service: Annotated[str, PathParameter(description=f"One of {', '.join(health.SERVICES)}.")],
) -> Response[ServiceHealth]:
    """Get the freshness of one service: ok, starting, idle or degraded; 503 when down."""
    if service not in health.SERVICES:
        raise not_found("Service")
    row = (await database.read(lambda conn: health.health(conn, service)))[service]
    return Response(_service_health(row), status_code=503 if row.is_down else 200)


_WORST_FIRST = ("down", "degraded", "starting", "ok", "idle")


@get(
    "/health/services",
    tags=["health"],
    responses=error_responses(),
)
async def list_service_health(database: DatabaseDep) -> Response[ServiceHealthList]:
    """List the freshness of every service; 503 when one is down."""
    rows = list((await database.read(lambda conn: health.health(conn))).values())
    worst = min((row.state for row in rows), key=_WORST_FIRST.index)
    return Response(
        ServiceHealthList(worst, [_service_health(row) for row in rows], _now()),
        status_code=503 if worst == "down" else 200,
    )


@get(
    "/api/webhooks/health",
    tags=["health"],
    responses=error_responses(),
)
async def get_webhook_health(
    settings: SettingsDep, database: DatabaseDep
) -> Response[WebhookHealth]:
    """Check that webhook deliveries can be received; 503 otherwise."""
    ready = await _migration_status(database) == "ok"
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


HANDLERS = [get_health, get_service_health, list_service_health, get_webhook_health]
