"""Snapshots of discussions: a row for each pinned file."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, Index, Integer, Table, Text, func, text

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

ipfs_anchors = Table(
    "ipfs_anchors",
    metadata,
    Column("market_id", BYTES, primary_key=True, comment="Pipelines: whose discussion it is"),
    Column("day", Date, primary_key=True, comment="Pipelines: UTC day at whose end it ends"),
    Column("part", Integer, primary_key=True, comment="Computed: number of the file, from 1"),
    Column("parts", Integer, nullable=False, comment="Computed: how many files the snapshot has"),
    Column("cid", Text, nullable=False, comment="Computed: CIDv0 of document"),
    Column("document", BYTES, nullable=False, comment="Computed: canonical JSON that is pinned"),
    Column("comments", Integer, nullable=False, comment="Computed: comments in the file"),
    Column("period_start", TIME, comment="Computed: end of the snapshot before; null: the first"),
    Column("period_end", TIME, nullable=False, comment="Computed: end of the day"),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("pinned_at", TIME, comment="Database clock: when the pin store accepted it"),
    Column(
        "failed_pins",
        Integer,
        nullable=False,
        server_default="0",
        comment="Pipelines: how often pinning it has failed",
    ),
    Column("pin_error", Text, comment="Pipelines: why it last failed"),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    CheckConstraint("char_length(cid) = 46", name="cid"),
    CheckConstraint("octet_length(document) <= 262144", name="document"),
    CheckConstraint("part BETWEEN 1 AND parts", name="part"),
    CheckConstraint("period_start < period_end", name="period"),
    Index(None, "cid"),
    Index("ix_ipfs_anchors_unpinned", "day", postgresql_where=text("pinned_at IS NULL")),
    schema="community",
)
