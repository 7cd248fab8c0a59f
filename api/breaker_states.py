"""Circuit breakers as clients read them: those of the pipelines and those of this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from zmart_pipelines.breakers.machine import Breaker
from zmart_pipelines.client_schemas.formats import iso8601_or_none
from zmart_pipelines.store.queries.breakers import BreakerStatus


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


def breaker_states(
    stored: Iterable[BreakerStatus], local: Mapping[str, Breaker]
) -> list[BreakerState]:
    """Return the breakers of the pipelines, then those of this process by name."""
    rows = [_breaker_state("pipelines", row.name, row) for row in stored]
    return rows + [_breaker_state("api", name, row) for name, row in sorted(local.items())]


def _breaker_state(scope: str, name: str, row: BreakerStatus | Breaker) -> BreakerState:
    return BreakerState(
        name=name,
        scope=scope,
        state=row.state,
        failures=row.failures,
        opened_at=iso8601_or_none(row.opened_at),
        wait_until=iso8601_or_none(row.wait_until),
    )
