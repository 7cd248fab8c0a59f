"""Each Dagster run is started once, however often it is delivered."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.tables.ops import run_claims


def claim_run(conn: Connection, run_id: str) -> bool:
    """Claim the start of a run; False where it was claimed before. Committed by the caller.

    Dagster checks a run's status before it starts it, but two deliveries at the same moment
    both pass that check. A claim is never given back: a run that fails to start is replaced by
    a run of its own.
    """
    statement = (
        insert(run_claims)
        .values(run_id=run_id)
        .on_conflict_do_nothing()
        .returning(run_claims.c.run_id)
    )
    return conn.execute(statement).first() is not None
