"""The users that the API has seen."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.tables.community import users


def upsert_user(conn: Connection, wallet: bytes) -> None:
    """Insert the wallet as a user, or update when it was last seen."""
    now = datetime.now(UTC)
    conn.execute(
        insert(users)
        .values(wallet=wallet)
        .on_conflict_do_update(index_elements=["wallet"], set_={"last_seen_at": now})
    )
