"""Tables of what is sent about alerts: ``ops.alert_messages`` and ``ops.alert_silences``."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

# Alerts that match are not sent until the end, and are sent then if they are still open.
alert_silences = Table(
    "alert_silences",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "topic", Text, nullable=False, comment="Operator: topic of the alerts that are not sent"
    ),
    Column("market_id", BYTES, comment="Operator: only those of this market; null for all"),
    Column("subject", Text, comment="Operator: only those with this subject; null for all"),
    Column(
        "reason",
        Text,
        CheckConstraint("char_length(reason) BETWEEN 1 AND 500", name="reason"),
        nullable=False,
        comment="Operator: why",
    ),
    Column("created_by", Text, nullable=False, comment="API or command: who silenced them"),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "ends_at",
        TIME,
        nullable=False,
        comment="Operator: until when; the moment of the end where it was ended early",
    ),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    Index(None, "ends_at"),
    schema="ops",
)

# The outbox. A message is claimed before it is sent, and recorded as sent afterwards.
alert_messages = Table(
    "alert_messages",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "channel", Text, nullable=False, comment="Sender: where it is sent to; holds no address"
    ),
    Column("title", Text, nullable=False, comment="Sender: first line"),
    Column("body", Text, nullable=False, comment="Sender: the alerts, for people"),
    Column(
        "alert_ids",
        ARRAY(BigInteger),
        nullable=False,
        comment="Sender: rows of ops.alerts that it reports",
    ),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "attempts",
        Integer,
        nullable=False,
        server_default="0",
        comment="Sender: how often sending was begun",
    ),
    Column(
        "next_attempt_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Sender: when to send it next",
    ),
    Column(
        "claimed_until",
        TIME,
        comment="Sender: while one process sends it; in the past: that process ended meanwhile",
    ),
    Column("sent_at", TIME, comment="Database clock: when the receiver accepted it"),
    Column("abandoned_at", TIME, comment="Database clock: when it was given up as too old"),
    Column(
        "last_error",
        Text,
        comment="Sender: why the last attempt failed, without any address",
    ),
    CheckConstraint("num_nonnulls(sent_at, abandoned_at) <= 1", name="end"),
    Index(
        "ix_alert_messages_unsent",
        "next_attempt_at",
        postgresql_where=text("sent_at IS NULL AND abandoned_at IS NULL"),
    ),
    Index(None, "created_at"),
    schema="ops",
)
