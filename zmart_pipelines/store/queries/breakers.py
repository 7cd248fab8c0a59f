"""Circuit breakers as shown to operators."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import ops


class BreakerStatus(msgspec.Struct, frozen=True):
    """One breaker; ``zmart_pipelines.breakers.machine`` says what its fields mean."""

    name: str
    state: str
    failures: int
    level: int
    opened_at: datetime | None
    wait_until: datetime | None
    last_error: str | None
    changed_at: datetime

    @property
    def is_closed(self) -> bool:
        """Return whether all calls are allowed."""
        return self.state == "closed"


def breaker_statuses(conn: Connection) -> list[BreakerStatus]:
    """Return all breakers that ever recorded a failure, those not closed first."""
    table = ops.breakers
    columns = [table.c[name] for name in BreakerStatus.__struct_fields__]
    statement = select(*columns).order_by(table.c.state == "closed", table.c.name)
    return many(BreakerStatus, conn.execute(statement))
