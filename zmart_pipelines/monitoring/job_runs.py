"""How runs of jobs ended, one row each."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.tables.ops import job_runs

MAX_ERROR = 2000


class EndedRun(msgspec.Struct, frozen=True):
    """A run that ended by itself or failed; ``error`` is the message of a failure."""

    run_id: str
    job: str
    succeeded: bool
    ended_at: datetime
    error: str | None = None


def record_run(conn: Connection, run: EndedRun) -> None:
    """Record how a run ended; a later record of the same run replaces it. The caller commits."""
    error = None if run.error is None else run.error[:MAX_ERROR]
    values = msgspec.structs.asdict(run) | {"error": error}
    statement = insert(job_runs).values(values)
    conn.execute(statement.on_conflict_do_update(index_elements=["run_id"], set_=values))
