"""Rows that acts of operators are about, and the audit log."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from zmart_pipelines.ledger.readers import deliveries
from zmart_pipelines.store.tables import ops, voting
from zmart_pipelines.store.tables.audit import audit

BREAKER = "action:finalize_market"
MARKET = b"\x07" * 32


def open_breaker(conn: Connection) -> None:
    """Insert an open breaker, as the pipelines."""
    conn.exec_driver_sql(
        "INSERT INTO ops.breakers (name, state, opened_at, wait_until, last_error)"
        " VALUES (%s, 'open', now(), now(), 'HTTP 500')",
        (BREAKER,),
    )


def failed_intent(conn: Connection, round_number: int = 0) -> int:
    """Insert a failed intent, as the pipelines; return its number."""
    made: int = conn.execute(
        insert(ops.intents)
        .values(
            market_id=MARKET,
            action="finalize_market",
            round=round_number,
            arguments={},
            status="failed",
            reason="the node refused it",
        )
        .returning(ops.intents.c.id)
    ).scalar_one()
    return made


def frozen_vote(conn: Connection) -> None:
    """Insert the frozen tally of a proposal, as the pipelines."""
    values = {"market_id": MARKET, "kind": "proposal"}
    conn.execute(insert(voting.tallies).values(values))
    conn.exec_driver_sql(
        "UPDATE voting.tallies SET status = 'frozen', frozen_slot = 5, frozen_chain_time = 6,"
        " frozen_at = now(), counted_at = now()"
    )


def stored_delivery(conn: Connection) -> int:
    """Insert an empty webhook delivery, as the ingest; return its number."""
    return deliveries.store_delivery(conn, b"[]", transaction_count=0)


def acts(engine: Engine) -> list[Any]:
    """Return the rows of the audit log, oldest first."""
    with engine.connect() as conn:
        return list(conn.execute(select(audit).order_by(audit.c.id)).all())
