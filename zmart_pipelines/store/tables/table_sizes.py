"""Table ``ops.table_sizes``: how large the database and its tables were, hour by hour."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Table, Text

from zmart_pipelines.store.tables.base import TIME, metadata

table_sizes = Table(
    "table_sizes",
    metadata,
    Column(
        "name",
        Text,
        primary_key=True,
        comment="Postgres: schema and table; `database` for all of it",
    ),
    Column("measured_at", TIME, primary_key=True, comment="Database clock: when it was measured"),
    Column("bytes", BigInteger, nullable=False, comment="Postgres: size on disk with indexes"),
    CheckConstraint("bytes >= 0", name="bytes"),
    schema="ops",
)
