"""What all sensors share: their interval, outages that skip a tick, and the record of errors.

The daemon evaluates sensors every 5 s. An interval of exactly 5 s would miss every other loop, so
sensors declare less. Each body ends in well under two seconds; when the chain or the database is
unreachable it keeps its cursor and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeAlias

import dagster as dg
from sqlalchemy.exc import DBAPIError

from assets.error_text import explain
from assets.resources import Backend
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.monitoring.heartbeats import record_heartbeat
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.outages import is_outage

# Seconds between two ticks of a sensor that users wait for: polls and due submissions. The
# daemon's own pause of five seconds is added.
PROMPT_INTERVAL = 2
# Of a sensor that reports or repairs. Every tick costs some ten statements and a call between
# two processes, whether or not there is work.
ROUTINE_INTERVAL = 15
# Of a sensor whose work no user waits for, because another reader does the same work sooner.
LATER_INTERVAL = 30

Tick: TypeAlias = dg.SensorResult | dg.SkipReason
Body: TypeAlias = Callable[[dg.SensorEvaluationContext, Backend], Tick]


def skip_on_outage(*services: str) -> Callable[[Body], Body]:
    """Decorate a sensor's body so that an outage of the chain or of Postgres skips the tick.

    A skipped tick keeps the cursor and says why. Any other exception is a defect and fails the
    tick. Both are recorded as the last error of each of the services. A tick that succeeds
    records nothing: only finished work is a heartbeat.

    Args:
        services: The services whose errors the tick records, if any.
    """

    def decorate(body: Body) -> Body:
        @wraps(body)
        def tick(context: dg.SensorEvaluationContext, backend: Backend) -> Tick:
            try:
                return body(context, backend)
            except (RpcUnavailable, RateLimited, RpcError) as error:
                reason = f"The chain cannot be read. {explain(error)}"
                context.log.warning(reason)
                return _after_failure(backend, services, reason)
            except DBAPIError as error:
                if not is_outage(error):
                    _after_failure(backend, services, explain(error))
                    raise
                return dg.SkipReason(f"Postgres is unreachable. {explain(error)}")
            except Exception as error:
                _after_failure(backend, services, explain(error))
                raise

        return tick

    return decorate


def _after_failure(backend: Backend, services: tuple[str, ...], reason: str) -> dg.SkipReason:
    if not services:
        return dg.SkipReason(reason)
    try:
        with backend.engine(Role.PIPELINES).begin() as conn:
            for service in services:
                record_heartbeat(conn, service, error=reason)
    except DBAPIError as error:
        return dg.SkipReason(f"{reason} And Postgres is unreachable. {explain(error)}")
    return dg.SkipReason(reason)
