"""Schema ``community``: users, market drafts, discussions. Born here, never rebuilt."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

users = Table(
    "users",
    metadata,
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        primary_key=True,
    ),
    Column("created_at", TIME, nullable=False, server_default=func.now()),
    Column("last_seen_at", TIME, nullable=False, server_default=func.now()),
    schema="community",
)

# A market's question before the market exists on chain. ``document`` is the canonical JSON
# that ``question_hash`` (CIDv0) names; ``market_id`` is made from creator, CID and nonce.
market_drafts = Table(
    "market_drafts",
    metadata,
    Column("market_id", BYTES, primary_key=True),
    Column("creator", BYTES, nullable=False),
    Column("nonce", BYTES, nullable=False),
    Column("question_hash", Text, nullable=False),
    Column("document", BYTES, nullable=False),
    Column("question", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column(
        "category",
        Text,
        CheckConstraint(
            "category IN ('politics', 'sports', 'crypto', 'science', 'entertainment', 'other')",
            name="category",
        ),
        nullable=False,
    ),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("ends_at", TIME, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=func.now()),
    Column("expires_at", TIME, nullable=False),
    # Set when MarketCreated with this id, creator and question hash has been seen.
    Column("matched_at", TIME),
    UniqueConstraint("creator", "nonce"),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    CheckConstraint("char_length(question) BETWEEN 10 AND 200", name="question"),
    CheckConstraint("char_length(description) <= 2000", name="description"),
    Index("ix_market_drafts_ends", "ends_at", postgresql_where=text("matched_at IS NOT NULL")),
    Index(None, "expires_at", postgresql_where=text("matched_at IS NULL")),
    schema="community",
)

discussions = Table(
    "discussions",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()")),
    Column("market_id", BYTES, nullable=False),
    Column("wallet", BYTES, ForeignKey(users.c.wallet), nullable=False),
    Column("content", Text, nullable=False),
    Column("signature", BYTES),
    Column("created_at", TIME, nullable=False, server_default=func.now()),
    Column("deleted_at", TIME),
    CheckConstraint("char_length(content) BETWEEN 1 AND 1000", name="content"),
    UniqueConstraint("signature"),
    Index(None, "market_id", "created_at", "id"),
    schema="community",
)
