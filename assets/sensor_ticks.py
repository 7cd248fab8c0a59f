"""What every tick has in common: patience with outages, and heartbeats."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeAlias

import dagster as dg
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, OperationalError

from assets.error_text import explain
from assets.resources import Backend
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.monitoring.alerts import clear_alert, raise_alert
from zmart_pipelines.monitoring.heartbeats import beat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import heartbeats

# Seconds; see the package's docstring.
INTERVAL = 2

# A service without a success for this long raises an alert.
ALERT_AFTER = 60.0

Tick: TypeAlias = dg.SensorResult | dg.SkipReason
Body: TypeAlias = Callable[[dg.SensorEvaluationContext, Backend], Tick]


def _report(backend: Backend, service: str | None, error: str | None) -> None:
    if service is None:
        return
    key = f"{service}:stalled"
    with backend.engine(Role.PIPELINES).begin() as conn:
        beat(conn, service, error=error)
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


def patient(service: str | None) -> Callable[[Body], Body]:
    """A tick that is a piece of work of ``service``, or of none.

    A success beats. When the chain or the database is away the tick is skipped with the
    reason and the cursor stays. Any other exception is a fault of ours: it is recorded and
    fails the tick.
    """

    def decorate(body: Body) -> Body:
        @wraps(body)
        def tick(context: dg.SensorEvaluationContext, backend: Backend) -> Tick:
            try:
                result = body(context, backend)
                _report(backend, service, None)
            except (RpcUnavailable, RateLimited, RpcError) as error:
                reason = explain(error)
                context.log.warning("The chain cannot be read. %s", reason)
                return _after_failure(backend, service, f"The chain cannot be read. {reason}")
            except DBAPIError as error:
                if not _is_outage(error):
                    _after_failure(backend, service, explain(error))
                    raise
                return dg.SkipReason(f"Postgres is away. {explain(error)}")
            except Exception as error:
                _after_failure(backend, service, explain(error))
                raise
            return result

        return tick

    return decorate


def _is_outage(error: DBAPIError) -> bool:
    """Whether Postgres could not be reached, was full or was going down.

    Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html; an error that
    never reached the server has no code.
    """
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)
    return str(state).startswith(("08", "53", "57"))


def _after_failure(backend: Backend, service: str | None, reason: str) -> dg.SkipReason:
    try:
        _report(backend, service, reason)
    except DBAPIError as error:
        return dg.SkipReason(f"{reason} And Postgres is away. {explain(error)}")
    return dg.SkipReason(reason)
