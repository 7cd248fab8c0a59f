"""Schema ``community``: users, market drafts, comments. These rows originate here.

What belongs to a comment is in ``comments``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
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
    Column(
        "name",
        Text,
        CheckConstraint("char_length(name) BETWEEN 1 AND 50", name="name"),
        comment="Request: what the user is called; not unique",
    ),
    Column(
        "bio",
        Text,
        CheckConstraint("char_length(bio) BETWEEN 1 AND 500", name="bio"),
        comment="Request: what the user says of himself",
    ),
    Column(
        "avatar_cid",
        Text,
        CheckConstraint("char_length(avatar_cid) = 46", name="avatar_cid"),
        comment="Request: CIDv0 of the user's picture",
    ),
    schema="community",
)

# A market's question before the market exists on chain, one row per version. ``document`` is the
# canonical JSON that ``question_hash`` (CIDv0) names; ``market_id`` is made from creator, CID and
# nonce.
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
    Column(
        "draft_id",
        UUID(as_uuid=True),
        nullable=False,
        server_default=text("gen_random_uuid()"),
        comment="Database: random UUID of all its versions",
    ),
    Column("b_parameter", BigInteger, comment="Request: 9 decimals; null for drafts of before"),
    Column("initial_liquidity", BigInteger, comment="Request: lamports; null for drafts of before"),
    Column(
        "evidence",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{}'"),
        comment="Request: CIDv0s of its documents",
    ),
    Column("replaced_at", TIME, comment="Database clock: when another version took its place"),
    Column("withdrawn_at", TIME, comment="Database clock: when its creator deleted the draft"),
    UniqueConstraint("creator", "nonce"),
    CheckConstraint("cardinality(evidence) <= 10", name="evidence"),
    Index(
        "uq_market_drafts_draft_id",
        "draft_id",
        unique=True,
        postgresql_where=text("replaced_at IS NULL"),
    ),
    # Of every version: a new one is compared with the others.
    Index(None, "draft_id"),
    Index(None, "creator", "created_at", "market_id"),
    Index(None, "question_hash"),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    CheckConstraint("char_length(question) BETWEEN 10 AND 200", name="question"),
    CheckConstraint("char_length(description) <= 2000", name="description"),
    Index("ix_market_drafts_ends", "ends_at", postgresql_where=text("matched_at IS NOT NULL")),
    Index(None, "expires_at", postgresql_where=text("matched_at IS NULL")),
    schema="community",
)

# Files that wallets had pinned: evidence of drafts and resolutions, pictures.
documents = Table(
    "documents",
    metadata,
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        primary_key=True,
        comment="Request: wallet that the write was permitted to",
    ),
    Column(
        "cid",
        Text,
        CheckConstraint("char_length(cid) = 46", name="cid"),
        primary_key=True,
        comment="Computed: CIDv0 of the bytes",
    ),
    Column(
        "media_type",
        Text,
        CheckConstraint(
            "media_type IN ('application/json', 'application/pdf', 'image/jpeg', 'image/png',"
            " 'image/webp', 'text/plain')",
            name="media_type",
        ),
        nullable=False,
        comment="Request: what the bytes are",
    ),
    Column(
        "size",
        Integer,
        CheckConstraint("size BETWEEN 1 AND 262144", name="size"),
        nullable=False,
        comment="Computed: number of bytes",
    ),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Index(None, "cid"),
    Index(None, "created_at"),
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
            "action IN ('comment', 'edit-comment', 'delete-comment', 'vote-comment',"
            " 'unvote-comment', 'report-comment', 'profile', 'draft', 'replace-draft',"
            " 'delete-draft', 'document', 'ballot')",
            name="action",
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

# Threads and their replies. A deleted or hidden comment has no text here; it is in
# ``former_texts``. Triggers maintain the counts and ``edited_at``.
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
    Column(
        "content",
        Text,
        nullable=False,
        comment="Request: text of the comment; empty where it is deleted or hidden",
    ),
    Column("signature", BYTES, comment="Request: the wallet's signature of the comment"),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("deleted_at", TIME, comment="Database clock: when the author deleted the comment"),
    Column(
        "parent_id",
        UUID(as_uuid=True),
        comment="Request: the thread that is replied to; null for a thread",
    ),
    Column(
        "up_votes",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="Trigger: number of its rows in comment_votes",
    ),
    Column(
        "replies",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="Trigger: number of its replies that are neither deleted nor hidden",
    ),
    Column("edited_at", TIME, comment="Database clock: when the author last changed the text"),
    Column("hidden_at", TIME, comment="Database clock: when an operator hid the comment"),
    Column(
        "shown_at",
        TIME,
        comment="Trigger: when an operator last showed the hidden comment again",
    ),
    CheckConstraint("char_length(content) <= 1000", name="content"),
    CheckConstraint(
        "(content = '') = (deleted_at IS NOT NULL OR hidden_at IS NOT NULL)", name="withdrawn"
    ),
    CheckConstraint("up_votes >= 0 AND replies >= 0", name="counts"),
    CheckConstraint("parent_id IS NULL OR replies = 0", name="reply"),
    UniqueConstraint("signature"),
    UniqueConstraint("id", "market_id"),
    ForeignKeyConstraint(
        ["parent_id", "market_id"], ["community.discussions.id", "community.discussions.market_id"]
    ),
    Index(None, "market_id", "created_at", "id", postgresql_where=text("parent_id IS NULL")),
    Index(
        None,
        "market_id",
        "up_votes",
        "created_at",
        "id",
        postgresql_where=text("parent_id IS NULL"),
    ),
    Index(None, "parent_id", "created_at", "id", postgresql_where=text("parent_id IS NOT NULL")),
    Index(None, "wallet", "created_at", "id"),
    # When a comment last changed: queries name the same expression.
    Index(
        "ix_discussions_changed",
        "market_id",
        text("greatest(created_at, edited_at, deleted_at, hidden_at, shown_at)"),
    ),
    schema="community",
)
