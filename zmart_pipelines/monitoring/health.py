"""Health of each service, by when it last succeeded and not by whether a process is alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, exists, func, select

from zmart_pipelines.store.tables.ops import heartbeats, intents

State = Literal["ok", "starting", "idle", "degraded", "down"]


class Service(msgspec.Struct, frozen=True):
    """A service that reports heartbeats, its deadline, and the actions it submits."""

    name: str
    deadline: timedelta
    actions: tuple[str, ...] = ()


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service("event-indexer", timedelta(seconds=60)),
        Service(
            "vote-aggregator",
            timedelta(seconds=90),
            ("aggregate_proposal_votes", "approve_proposal", "activate_market"),
        ),
        Service("market-monitor", timedelta(seconds=90), ("resolve_market", "finalize_market")),
    )
}


class ServiceHealth(msgspec.Struct, frozen=True):
    """The current health of a service; ``silent_seconds`` is the time since its last success."""

    service: str
    state: State
    deadline_seconds: int
    silent_seconds: int | None
    last_success_at: datetime | None
    last_attempt_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    detail: dict[str, Any]

    @property
    def is_down(self) -> bool:
        """Return whether it is past its deadline."""
        return self.state == "down"


def service_state(
    service: Service,
    *,
    now: datetime,
    up_since: datetime,
    success_at: datetime | None,
    error_at: datetime | None,
    work_open: bool,
) -> State:
    """Return the state of a service from its times. Pure.

    The deadline runs from the last success, or from the system's own start where that is
    later: a service that stopped together with the system is starting, not down.
    """
    fresh_since = up_since if success_at is None else max(success_at, up_since)
    if now - fresh_since > service.deadline:
        return "down"
    if success_at is None or success_at < up_since:
        return "starting"
    if error_at is not None and error_at > success_at:
        return "degraded"
    return "ok" if work_open or not service.actions else "idle"


def health(conn: Connection, service: str | None = None) -> dict[str, ServiceHealth]:
    """Return the health of one service, or of all, by name.

    Raises:
        KeyError: The service does not exist.
    """
    wanted = list(SERVICES.values()) if service is None else [SERVICES[service]]
    names = [item.name for item in wanted]
    rows = {
        row.service: row
        for row in conn.execute(select(heartbeats).where(heartbeats.c.service.in_(names)))
    }
    now, up_since = conn.execute(
        select(func.clock_timestamp(), func.pg_postmaster_start_time())
    ).one()
    found = {}
    for item in wanted:
        row = rows.get(item.name)
        success_at = row.last_success_at if row is not None else None
        state = service_state(
            item,
            now=now,
            up_since=up_since,
            success_at=success_at,
            error_at=row.last_error_at if row is not None else None,
            work_open=_has_open_work(conn, item),
        )
        found[item.name] = ServiceHealth(
            service=item.name,
            state=state,
            deadline_seconds=int(item.deadline.total_seconds()),
            silent_seconds=None if success_at is None else int((now - success_at).total_seconds()),
            last_success_at=_utc(success_at),
            last_attempt_at=_utc(row.last_attempt_at) if row is not None else None,
            last_error=row.last_error if row is not None else None,
            last_error_at=_utc(row.last_error_at) if row is not None else None,
            detail=row.detail if row is not None else {},
        )
    return found


def _has_open_work(conn: Connection, service: Service) -> bool:
    open_intent = exists().where(
        intents.c.action.in_(service.actions), intents.c.status.in_(("planned", "live"))
    )
    return bool(conn.execute(select(open_intent)).scalar_one())


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
