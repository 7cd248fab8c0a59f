"""Health of the parts that belong to no service of the pipelines: pin store and live updates."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar import Response, get

from api import caching
from api.dependencies import HubHealthDep, PinHealthDep, health_responses
from api.routes.health import EXEMPT
from zmart_pipelines.client_schemas.formats import iso8601, iso8601_or_none


class IpfsHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The pin store, by a file that was written, read and removed just now.

    `store` is `local` or `pinata`. `round_trip_seconds` is null where that failed, with its
    `error`. `read_back_error` is why the newest pinned snapshot cannot be read from where it was
    pinned. `last_pin_at` is when a snapshot's file was last pinned; `waiting` of them are not yet,
    the oldest for `waiting_seconds`.
    """

    status: str
    service: str
    store: str
    round_trip_seconds: float | None
    error: str | None
    read_back_error: str | None
    last_pin_at: str | None
    waiting: int
    waiting_seconds: float
    timestamp: str


class WebsocketHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The live updates of the answering process.

    `read_at` is when its hub last read the stream of frames, `read_seconds` ago. `position` is what
    it has delivered, `head` the newest frame (null where Postgres does not answer);
    `undelivered_seconds` is for how long a frame has been waiting. `signal_seconds` is what a
    notification through Redis took just now; null: none arrived, and the stream is polled.
    """

    status: str
    service: str
    sockets: int
    read_at: str | None
    read_seconds: float
    position: int
    head: int | None
    undelivered_seconds: float
    signal_seconds: float | None
    timestamp: str


@get(
    "/health/ipfs",
    opt=EXEMPT,
    cache_control=caching.NO_STORE,
    tags=["health"],
    responses=health_responses(IpfsHealth),
)
async def get_ipfs_health(pin_health: PinHealthDep) -> Response[IpfsHealth]:
    """Get the health of the pin store: a round trip, and what waits to be pinned; 503 when down."""
    found = await pin_health.measure()
    body = IpfsHealth(
        status=found.state,
        service="ipfs",
        store=found.store,
        round_trip_seconds=found.probe.seconds,
        # Texts that operators see in the log name folders of this machine.
        error=None if found.probe.error is None else "the pin store cannot be written or read",
        read_back_error=found.probe.read_back_error
        and "the newest pinned file cannot be read back",
        last_pin_at=iso8601_or_none(found.facts.last_pin_at),
        waiting=found.facts.waiting,
        waiting_seconds=found.waiting_seconds,
        timestamp=iso8601(datetime.now(UTC)),
    )
    return Response(body, status_code=503 if found.state == "down" else 200)


@get(
    "/health/websocket",
    opt=EXEMPT,
    cache_control=caching.NO_STORE,
    tags=["health"],
    responses=health_responses(WebsocketHealth),
)
async def get_websocket_health(hub_health: HubHealthDep) -> Response[WebsocketHealth]:
    """Get the health of this process's live updates: read, delivered, signalled; 503 when down."""
    found = await hub_health.measure()
    body = WebsocketHealth(
        status=found.state,
        service="websocket",
        sockets=found.sockets,
        read_at=iso8601_or_none(found.read_at),
        read_seconds=found.read_seconds,
        position=found.position,
        head=found.head,
        undelivered_seconds=found.undelivered_seconds,
        signal_seconds=found.signal_seconds,
        timestamp=iso8601(datetime.now(UTC)),
    )
    return Response(body, status_code=503 if found.state == "down" else 200)


HANDLERS = [get_ipfs_health, get_websocket_health]
