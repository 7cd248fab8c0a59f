"""Health: of this process, and of every service by the work that it does."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import PathParameter

from api import caching
from api.dependencies import (
    HealthWatchDep,
    KnownRequestsDep,
    SettingsDep,
    error_responses,
    health_responses,
)
from api.errors import not_found, unavailable
from api.health_watch import HealthWatch
from api.hot_reads.encoded_bodies import EncodedBody
from api.identity import webhook_auth
from api.middleware.fixed_headers import NO_STORE
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.health import measure
from zmart_pipelines.monitoring.work_health import SERVICES, QuantityHealth, worst
from zmart_pipelines.settings import Settings

_STARTED = time.monotonic()
# Checks are answered whatever the limits say.
EXEMPT = {"bucket": "exempt"}


class ProcessHealth(msgspec.Struct, frozen=True):
    """This process. `postgres` is `ok` or `down`; `migrations` is `ok`, `behind` or `unknown`.

    `process` names the API process that answers; `uptime` is its age in seconds.
    """

    status: str
    timestamp: str
    uptime: float
    environment: str
    postgres: str
    migrations: str
    process: str

    @property
    def is_healthy(self) -> bool:
        """Whether this process can serve its routes."""
        return self.migrations == "ok"


class NotHealthy(Exception):
    """The handler has to answer, because the answer is not a 200."""


class Liveness(msgspec.Struct, frozen=True):
    """This process alone: nothing else was asked. `uptime` is in seconds, `process` its name."""

    status: str
    timestamp: str
    uptime: float
    process: str


class Quantity(msgspec.Struct, frozen=True):
    """What was measured, and its `status` by the values from which it is degraded and down.

    `value` is null where it cannot be measured. `since` is when the oldest of it began, `cause`
    says what it was measured on.
    """

    name: str
    value: float | None
    unit: str
    degraded: int
    down: int
    status: str
    since: str | None
    cause: str | None
    detail: dict[str, Any]


class ServiceHealth(msgspec.Struct, frozen=True):
    """The health of one service: the worst status of its quantities.

    `last_success_at` is when it last finished something; it does not decide the status.
    `deadline_seconds` is the age of its main quantity at which it is `down`.
    """

    status: str
    service: str
    deadline_seconds: int
    silent_seconds: int | None
    last_success_at: str | None
    last_attempt_at: str | None
    last_error_at: str | None
    detail: dict[str, Any]
    quantities: list[Quantity]
    timestamp: str


class ServiceHealthList(msgspec.Struct, frozen=True):
    """The health of every service; `status` is the worst of them."""

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


@get(
    "/health/live",
    opt=EXEMPT,
    tags=["health"],
    responses=error_responses(),
    sync_to_thread=False,
)
def get_liveness(settings: SettingsDep) -> Liveness:
    """Check that this process answers requests, whatever else is down; for orchestrators."""
    uptime = round(time.monotonic() - _STARTED, 3)
    return Liveness("alive", _now(), uptime, settings.api_process_name)


@get(
    ["/health", "/api/health"],
    opt=EXEMPT,
    cache_control=caching.NO_STORE,
    tags=["health"],
    responses=health_responses(ProcessHealth),
)
async def get_health(
    request: Request[Any, Any, Any],
    settings: SettingsDep,
    health_watch: HealthWatchDep,
    known_requests: KnownRequestsDep,
) -> Response[ProcessHealth]:
    """Check that this process answers and that Postgres is up and migrated; 503 otherwise."""

    async def read() -> EncodedBody:
        known = _process_health(await health_watch.migration_status(), settings)
        if not known.is_healthy:
            raise NotHealthy
        return EncodedBody(msgspec.json.encode(known))

    found = _process_health(await health_watch.migration_status(), settings)
    if found.is_healthy:
        known_requests.remember(request, read, headers=[NO_STORE])
    return Response(found, status_code=200 if found.is_healthy else 503)


def _process_health(migrations: str, settings: Settings) -> ProcessHealth:
    """Return the health of this process by what is known of the migrations."""
    return ProcessHealth(
        status="healthy" if migrations == "ok" else "unhealthy",
        timestamp=_now(),
        uptime=round(time.monotonic() - _STARTED, 3),
        environment=settings.solana_cluster,
        postgres="down" if migrations == "unknown" else "ok",
        migrations=migrations,
        process=settings.api_process_name,
    )


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else formats.iso8601(moment)


def _service_health(row: measure.ServiceHealth) -> ServiceHealth:
    return ServiceHealth(
        status=row.state,
        service=row.service,
        deadline_seconds=row.deadline_seconds,
        silent_seconds=row.silent_seconds,
        last_success_at=_time(row.last_success_at),
        last_attempt_at=_time(row.last_attempt_at),
        last_error_at=_time(row.last_error_at),
        detail=row.detail,
        quantities=[_quantity(one) for one in row.quantities],
        timestamp=_now(),
    )


def _quantity(one: QuantityHealth) -> Quantity:
    return Quantity(
        name=one.name,
        value=one.value,
        unit=one.unit,
        degraded=one.degraded,
        down=one.down,
        status=one.state,
        since=_time(one.since),
        cause=one.cause,
        detail=dict(one.detail),
    )


async def _services(health_watch: HealthWatch) -> dict[str, measure.ServiceHealth]:
    try:
        return await health_watch.services.get()
    except TimeoutError:
        raise unavailable("The database") from None


@get(
    "/health/{service:str}",
    opt=EXEMPT,
    tags=["health"],
    responses=health_responses(ServiceHealth, 404),
)
async def get_service_health(
    health_watch: HealthWatchDep,
    service: Annotated[
        str,
        PathParameter(description="A service.", schema_extra={"enum": sorted(SERVICES)}),
    ],
) -> Response[ServiceHealth]:
    """Get the health of one service: ok, starting, idle or degraded; 503 when down."""
    if service not in SERVICES:
        raise not_found("Service")
    row = (await _services(health_watch))[service]
    return Response(_service_health(row), status_code=503 if row.is_down else 200)


@get(
    "/health/services",
    opt=EXEMPT,
    tags=["health"],
    responses=health_responses(ServiceHealthList),
)
async def list_service_health(health_watch: HealthWatchDep) -> Response[ServiceHealthList]:
    """List the health of every service; 503 when one is down."""
    rows = list((await _services(health_watch)).values())
    overall = worst(tuple(row.state for row in rows))
    return Response(
        ServiceHealthList(overall, [_service_health(row) for row in rows], _now()),
        status_code=503 if overall == "down" else 200,
    )


@get(
    "/api/webhooks/health",
    opt=EXEMPT,
    cache_control=caching.NO_STORE,
    tags=["health"],
    responses=health_responses(WebhookHealth),
)
async def get_webhook_health(
    settings: SettingsDep, health_watch: HealthWatchDep
) -> Response[WebhookHealth]:
    """Check that webhook deliveries can be received; 503 otherwise."""
    ready = await health_watch.migration_status() == "ok"
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


HANDLERS = [get_health, get_liveness, get_service_health, list_service_health, get_webhook_health]
