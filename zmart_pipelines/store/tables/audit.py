"""Table ``ops.audit``: what operators did, by whom, and through which entry point."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

# Append-only for every role.
audit = Table(
    "audit",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "recorded_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the transaction began",
    ),
    Column(
        "entry_point",
        Text,
        CheckConstraint("entry_point IN ('api', 'cli', 'dagster')", name="entry_point"),
        nullable=False,
        comment="Entry point: whether the API, the command line or Dagster was used",
    ),
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        comment="API: the operator's wallet, if a wallet signed in",
    ),
    Column("service", Text, comment="API: name of the service whose key was sent, if one was"),
    Column(
        "key_id",
        BigInteger,
        comment="API: the key's row in ops.api_keys; null for the key of the settings",
    ),
    Column(
        "os_user", Text, comment="Command line: the operating system's user who ran the command"
    ),
    Column(
        "dagster_user", Text, comment="Dagster: who launched the run, as far as Dagster knows it"
    ),
    Column(
        "action",
        Text,
        CheckConstraint("action ~ '^[a-z]+(_[a-z]+)*$'", name="action"),
        nullable=False,
        comment="Entry point: what was done",
    ),
    Column("subject", Text, comment="Entry point: what it was done to"),
    Column(
        "reason",
        Text,
        nullable=False,
        server_default="",
        comment="Operator: why; empty where no reason was given",
    ),
    Column(
        "details",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="Entry point: further facts in JSON",
    ),
    CheckConstraint(
        "num_nonnulls(wallet, service, os_user, dagster_user) = 1"
        " AND (key_id IS NULL OR service IS NOT NULL)",
        name="actor",
    ),
    Index(None, "action", "id"),
    Index(None, "subject", "id"),
    schema="ops",
)
