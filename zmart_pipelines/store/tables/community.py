"""Schema ``community``: users, market drafts, discussions. These rows originate here."""

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
        comment="Request: wallet whose signature was verified",
    ),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "last_seen_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: the wallet's last write",
    ),
    schema="community",
)

# A market's question before the market exists on chain. ``document`` is the canonical JSON
# that ``question_hash`` (CIDv0) names; ``market_id`` is made from creator, CID and nonce.
market_drafts = Table(
    "market_drafts",
    metadata,
    Column(
        "market_id", BYTES, primary_key=True, comment="Computed: hash of creator, CID and nonce"
    ),
    Column(
        "creator", BYTES, nullable=False, comment="Request: wallet whose signature was verified"
    ),
    Column("nonce", BYTES, nullable=False, comment="API: random bytes"),
    Column("question_hash", Text, nullable=False, comment="Computed: CIDv0 of document"),
    Column("document", BYTES, nullable=False, comment="Computed: canonical JSON of the draft"),
    Column("question", Text, nullable=False, comment="Request"),
    Column("description", Text, nullable=False, server_default="", comment="Request"),
    Column(
        "category",
        Text,
        CheckConstraint(
            "category IN ('politics', 'sports', 'crypto', 'science', 'entertainment', 'other')",
            name="category",
        ),
        nullable=False,
        comment="Request",
    ),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'"), comment="Request"),
    Column("ends_at", TIME, nullable=False, comment="Request: when the question is decided"),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "expires_at", TIME, nullable=False, comment="Computed: created_at plus the draft lifetime"
    ),
    # Set when MarketCreated with this id, creator and question hash has been seen.
    Column(
        "matched_at",
        TIME,
        comment="Database clock: when the MarketCreated of the draft was ingested",
    ),
    UniqueConstraint("creator", "nonce"),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    CheckConstraint("char_length(question) BETWEEN 10 AND 200", name="question"),
    CheckConstraint("char_length(description) <= 2000", name="description"),
    Index("ix_market_drafts_ends", "ends_at", postgresql_where=text("matched_at IS NOT NULL")),
    Index(None, "expires_at", postgresql_where=text("matched_at IS NULL")),
    schema="community",
)

# Which signatures have served a write, so that each serves one write once. The ballots of the
# own scheme are not here: their text is of no use but for its vote, and is unique there.
signed_requests = Table(
    "signed_requests",
    metadata,
    Column(
        "signature",
        BYTES,
        CheckConstraint("octet_length(signature) = 64", name="signature"),
        primary_key=True,
        comment="Request: the wallet's signature of message",
    ),
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        nullable=False,
        comment="Request: wallet whose signature was verified",
    ),
    Column(
        "address",
        Text,
        comment="Connection: client's IP address (IPv6: its /64 network); null for ballots",
    ),
    Column(
        "action",
        Text,
        CheckConstraint(
            "action IN ('comment', 'delete-comment', 'draft', 'ballot')", name="action"
        ),
        nullable=False,
        comment="API: what the request did",
    ),
    Column(
        "digest",
        BYTES,
        CheckConstraint("octet_length(digest) = 32", name="digest"),
        nullable=False,
        comment="Computed: SHA-256 of action, subject, body and Idempotency-Key",
    ),
    Column(
        "accepted_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Index(None, "wallet", "action", "accepted_at"),
    Index(None, "address", "action", "accepted_at"),
    Index(None, "accepted_at"),
    schema="community",
)

# What a write was answered, so that the same request again is answered the same. The key is the
# request's Idempotency-Key, or its signature in base58 after the word "signature" and a space.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        primary_key=True,
        comment="Request: wallet that the write was permitted to",
    ),
    Column(
        "key",
        Text,
        CheckConstraint("char_length(key) BETWEEN 1 AND 100", name="key"),
        primary_key=True,
        comment="Request: its Idempotency-Key or its signature",
    ),
    Column(
        "digest",
        BYTES,
        CheckConstraint("octet_length(digest) = 32", name="digest"),
        nullable=False,
        comment="Computed: SHA-256 of action, subject, body and Idempotency-Key",
    ),
    Column("answer", BYTES, nullable=False, comment="API: JSON of what the write returned"),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Index(None, "created_at"),
    schema="community",
)

discussions = Table(
    "discussions",
    metadata,
    Column(
        "id",
        UUID(as_uuid=True),
        primary_key=True,
        server_default=text("gen_random_uuid()"),
        comment="Database: random UUID",
    ),
    Column("market_id", BYTES, nullable=False, comment="Request: market commented on"),
    Column(
        "wallet",
        BYTES,
        ForeignKey(users.c.wallet),
        nullable=False,
        comment="Request: wallet whose signature was verified",
    ),
    Column("content", Text, nullable=False, comment="Request: text of the comment"),
    Column("signature", BYTES, comment="Request: the wallet's signature of the comment"),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("deleted_at", TIME, comment="Clock of the API: when the author deleted the comment"),
    CheckConstraint("char_length(content) BETWEEN 1 AND 1000", name="content"),
    UniqueConstraint("signature"),
    Index(None, "market_id", "created_at", "id"),
    schema="community",
)
