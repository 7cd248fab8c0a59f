"""Schemas, roles, tables, rules and privileges of the first release.

Revision ID: 0001
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_PARTS = ("roles", "chain", "market", "voting", "community", "ops", "rules", "privileges")


def upgrade() -> None:
    # Past SQLAlchemy, which would read "%" in a script as a parameter's mark.
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("the connection is closed")
    for part in _PARTS:
        file = Path(__file__).parent.parent / "sql" / f"{revision}_{part}.sql"
        connection.execute(file.read_text(encoding="utf-8"))
