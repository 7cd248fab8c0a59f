"""What every tick has in common: patience with outages, heartbeats, one run at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TypeAlias

import dagster as dg
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from assets.resources import Backend
from zmart_pipelines.chain.rpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.monitoring.alerts import clear_alert, raise_alert
from zmart_pipelines.monitoring.heartbeats import beat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import heartbeats

# Seconds; see the package's docstring.
INTERVAL = 2

# A service without a success for this long raises an alert.
ALERT_AFTER = 60.0

# A run older than this does nothing any more, whatever its record says: its worker is gone.
# Monitoring gives up any run after 900 s, but markets must not wait that long for a submission
# run, which by itself ends within 90 s.
ABANDONED_AFTER = timedelta(seconds=900)
SUBMISSION_ABANDONED_AFTER = timedelta(seconds=120)

_RUNNING = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

Tick: TypeAlias = dg.SensorResult | dg.SkipReason
Body: TypeAlias = Callable[[dg.SensorEvaluationContext, Backend], Tick]


def in_flight(
    instance: dg.DagsterInstance, job: str, abandoned_after: timedelta = ABANDONED_AFTER
) -> bool:
    """Whether a run of ``job`` is queued or in progress."""
    since = datetime.now(UTC) - abandoned_after
    unfinished = dg.RunsFilter(job_name=job, statuses=_RUNNING, created_after=since)
    return bool(instance.get_run_records(unfinished, limit=1))


def explain(error: Exception) -> str:
    """One line for people; of a database error without the statement and its parameters."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error_text = str(error.orig)
    elif isinstance(error, SQLAlchemyError):
        error_text = str(error.args[0]) if error.args else ""
    else:
        error_text = str(error)
    first = error_text.strip().splitlines()[:1]
    return f"{type(error).__name__}: {first[0] if first else 'no text'}"


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
                if not (error.connection_invalidated or _is_outage(error)):
                    raise
                return dg.SkipReason(f"Postgres is away. {explain(error)}")
            return result

        return tick

    return decorate


def _is_outage(error: DBAPIError) -> bool:
    """Whether Postgres itself could not be reached or was going down."""
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state[:2] in ("08", "53", "57")


def _after_failure(backend: Backend, service: str | None, reason: str) -> dg.SkipReason:
    try:
        _report(backend, service, reason)
    except DBAPIError as error:
        return dg.SkipReason(f"{reason} And Postgres is away. {explain(error)}")
    return dg.SkipReason(reason)
