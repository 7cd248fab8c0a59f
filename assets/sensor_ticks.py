"""What all sensors share: their interval, outages that skip a tick, and heartbeats.

The daemon evaluates sensors every 5 s. An interval of exactly 5 s would miss every other loop, so
sensors declare less. Each body ends in well under two seconds; when the chain or the database is
unreachable it keeps its cursor and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeAlias

import dagster as dg
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, OperationalError

from assets.error_text import explain
from assets.resources import Backend
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.monitoring.heartbeats import record_heartbeat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import heartbeats

# Seconds between two ticks of a sensor that users wait for: polls and due submissions. The
# daemon's own pause of five seconds is added.
PROMPT_INTERVAL = 2
# Of a sensor that reports or repairs. Every tick costs some ten statements and a call between
# two processes, whether or not there is work.
ROUTINE_INTERVAL = 15
# Of a sensor whose work no user waits for, because another reader does the same work sooner.
LATER_INTERVAL = 30

# Seconds without a success after which a service raises an alert.
ALERT_AFTER = 60.0

Tick: TypeAlias = dg.SensorResult | dg.SkipReason
Body: TypeAlias = Callable[[dg.SensorEvaluationContext, Backend], Tick]


def skip_on_outage(*services: str) -> Callable[[Body], Body]:
    """Decorate a sensor's body so that an outage of the chain or of Postgres skips the tick.

    A tick that succeeds records a heartbeat. A skipped tick keeps the cursor and says why. Any
    other exception is a defect: it is recorded and fails the tick.

    Args:
        services: The services whose heartbeats the tick records, if any.
    """

    def decorate(body: Body) -> Body:
        @wraps(body)
        def tick(context: dg.SensorEvaluationContext, backend: Backend) -> Tick:
            try:
                result = body(context, backend)
                _record(backend, services, None)
            except (RpcUnavailable, RateLimited, RpcError) as error:
                reason = f"The chain cannot be read. {explain(error)}"
                context.log.warning(reason)
                return _after_failure(backend, services, reason)
            except DBAPIError as error:
                if not _is_outage(error):
                    _after_failure(backend, services, explain(error))
                    raise
                return dg.SkipReason(f"Postgres is unreachable. {explain(error)}")
            except Exception as error:
                _after_failure(backend, services, explain(error))
                raise
            return result

        return tick

    return decorate


def _record(backend: Backend, services: tuple[str, ...], error: str | None) -> None:
    """Record a success or a failure of each service, and raise or clear its alert."""
    if not services:
        return
    with backend.engine(Role.PIPELINES).begin() as conn:
        for service in services:
            _record_service(conn, service, error)


def _record_service(conn: Connection, service: str, error: str | None) -> None:
    key = AlertKey("stalled", subject=service)
    record_heartbeat(conn, service, error=error)
    if error is None:
        clear_alert(conn, key)
        return
    silent = conn.execute(
        select(func.extract("epoch", func.now() - heartbeats.c.last_success_at)).where(
            heartbeats.c.service == service
        )
    ).scalar()
    if silent is not None and silent > ALERT_AFTER:
        raise_alert(
            conn,
            key,
            "high",
            f"{service} has had no success for {int(silent)} s",
            {"error": error},
        )


def _after_failure(backend: Backend, services: tuple[str, ...], reason: str) -> dg.SkipReason:
    try:
        _record(backend, services, reason)
    except DBAPIError as error:
        return dg.SkipReason(f"{reason} And Postgres is unreachable. {explain(error)}")
    return dg.SkipReason(reason)


def _is_outage(error: DBAPIError) -> bool:
    """Return whether Postgres could not be reached, was full or was shutting down.

    Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html; an error that
    never reached the server has no code.
    """
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)
    return str(state).startswith(("08", "53", "57"))
