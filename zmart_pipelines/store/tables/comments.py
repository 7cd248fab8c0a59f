"""What belongs to a comment (``community.discussions``): former texts, up-votes and reports."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata
from zmart_pipelines.store.tables.community import discussions

# Written by the triggers of ``community.discussions`` alone.
former_texts = Table(
    "former_texts",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "comment_id",
        UUID(as_uuid=True),
        ForeignKey(discussions.c.id),
        nullable=False,
        comment="Trigger: whose text it was",
    ),
    Column("content", Text, nullable=False, comment="Trigger: the text until then"),
    Column(
        "replaced_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when it was edited, deleted or hidden",
    ),
    Index(None, "comment_id", "id"),
    schema="community",
)

comment_votes = Table(
    "comment_votes",
    metadata,
    Column(
        "comment_id",
        UUID(as_uuid=True),
        ForeignKey(discussions.c.id),
        primary_key=True,
        comment="Request: the comment that is up-voted",
    ),
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        primary_key=True,
        comment="Request: wallet that the write was permitted to",
    ),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    schema="community",
)

comment_reports = Table(
    "comment_reports",
    metadata,
    Column(
        "comment_id",
        UUID(as_uuid=True),
        ForeignKey(discussions.c.id),
        primary_key=True,
        comment="Request: the comment that is reported",
    ),
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        primary_key=True,
        comment="Request: wallet that the write was permitted to",
    ),
    Column(
        "reason",
        Text,
        CheckConstraint("reason IN ('spam', 'scam', 'abuse', 'off_topic', 'other')", name="reason"),
        nullable=False,
        comment="Request: what is wrong with the comment",
    ),
    Column(
        "note",
        Text,
        CheckConstraint("char_length(note) <= 500", name="note"),
        nullable=False,
        server_default=text("''"),
        comment="Request: more about it; may be empty",
    ),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Index(None, "created_at", "comment_id", "wallet"),
    schema="community",
)
