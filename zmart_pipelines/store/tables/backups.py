"""Table ``ops.backups``: the backups that were taken, and those that failed."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text, text

from zmart_pipelines.store.tables.base import TIME, metadata

backups = Table(
    "backups",
    metadata,
    Column("name", Text, primary_key=True, comment="Computed: from the time when it was begun"),
    Column("target", Text, nullable=False, comment="Settings: where it is kept, without secrets"),
    Column("taken_at", TIME, nullable=False, comment="Process clock: when it was begun"),
    Column("finished_at", TIME, nullable=False, comment="Process clock: when it was verified"),
    Column("verified_at", TIME, comment="Process clock: when it was found good; null: never"),
    Column("bytes", BigInteger, comment="Counted: size of its files; null: not complete"),
    Column("rows", BigInteger, comment="Counted: rows of all tables; null: not complete"),
    Column("sha256", Text, comment="Computed: of its manifest, which has the hash of every table"),
    Column("lsn", Text, comment="Postgres: position of the log at which the dump began"),
    Column("error", Text, comment="Process: why it failed; null: it did not"),
    Column("deleted_at", TIME, comment="Process clock: when it was deleted after its retention"),
    CheckConstraint("verified_at IS NULL OR error IS NULL", name="outcome"),
    Index("ix_backups_verified", "verified_at", postgresql_where=text("verified_at IS NOT NULL")),
    schema="ops",
)
