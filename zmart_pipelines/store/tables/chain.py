"""Schema ``chain``: the ledger as read from Solana, and the proof that it is complete.

A column's comment says where its values come from.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import INT8RANGE, JSONB, ExcludeConstraint

from zmart_pipelines.store.tables.base import BYTES, COMMITMENT, TIME, metadata

# One webhook request as received. Committed before anything is made of it.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Database"),
    Column("source", Text, nullable=False, comment="Door it came through"),
    Column("body", BYTES, nullable=False, comment="Request as received"),
    Column("body_sha256", BYTES, nullable=False, comment="Computed of the body"),
    Column("transaction_count", Integer, nullable=False, comment="Counted in the body"),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('received', 'ingested', 'failed')", name="status"),
        nullable=False,
        server_default="received",
        comment="Intake",
    ),
    Column("error", Text, comment="Intake"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="Intake"),
    Column(
        "received_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Clock of the database",
    ),
    Column("ingested_at", TIME, comment="Clock of the database"),
    Index(None, "id", postgresql_where=text("status <> 'ingested'")),
    schema="chain",
)

# One reading of a transaction that names our program. Identity is the signature: at most one
# reading of it is not orphaned. ``digest`` is the digest of what was read (slot, outcome,
# logs, instructions), so that the same reading is one row however often it arrives, and a
# transaction that reappears in another slot, or was first told falsely, is another.
# ``logs`` are the lines as received, a JSON array in UTF-8 (text columns cannot hold NUL),
# so that a decoder fix needs no RPC; ``instructions`` are those of our program, outer and
# inner: [{"index", "inner_index", "accounts": [base58], "data": hex}].
transactions = Table(
    "transactions",
    metadata,
    Column(
        "signature",
        BYTES,
        CheckConstraint("octet_length(signature) = 64", name="signature"),
        primary_key=True,
        comment="Transaction",
    ),
    Column(
        "digest",
        BYTES,
        CheckConstraint("octet_length(digest) = 16", name="digest"),
        primary_key=True,
        comment="Computed of slot, outcome, logs and instructions",
    ),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Column("index_in_block", Integer, comment="Listing or webhook, where it tells it"),
    Column("block_time", BigInteger, comment="Transaction"),
    Column("failed", Boolean, nullable=False, comment="Transaction: meta.err"),
    Column("error", JSONB, comment="Transaction: meta.err"),
    Column("fee", BigInteger, comment="Transaction: meta.fee"),
    Column("logs", BYTES, nullable=False, comment="Transaction: meta.logMessages"),
    Column("logs_truncated", Boolean, nullable=False, comment="Computed of the logs"),
    Column(
        "instructions",
        JSONB,
        nullable=False,
        comment="Transaction: those of the program, outer and inner",
    ),
    Column(
        "commitment",
        COMMITMENT,
        nullable=False,
        comment="Reader that saw it last; it only climbs, or is orphaned",
    ),
    # Bits of the doors it came through (``ledger.model.provenance.Source``).
    Column("sources", SmallInteger, nullable=False, comment="Doors it came through"),
    Column(
        "delivery_id",
        BigInteger,
        ForeignKey(deliveries.c.id),
        comment="Webhook request that brought it first",
    ),
    Column(
        "first_seen_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Clock of the database",
    ),
    Column("finalized_at", TIME, comment="Clock of the database"),
    # The writing transaction, for cursors that must not skip rows committed late.
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
        comment="Database",
    ),
    Index(
        "uq_transactions_live",
        "signature",
        unique=True,
        postgresql_where=text("commitment <> 'orphaned'"),
    ),
    Index(None, "slot", "index_in_block"),
    Index(None, "xid"),
    Index(
        "ix_transactions_unfinalized",
        "slot",
        postgresql_where=text("commitment IN ('reported', 'confirmed')"),
    ),
    schema="chain",
)

# One event line of our program, decoded or quarantined. Identity is (signature, log_index),
# order is (slot, index_in_block, log_index). ``raw`` is the line's payload, ``data`` the
# same decoded for people and for search. ``instruction`` is the data of the instruction
# that emitted it, kept where the event alone is not enough to fold (MarketCreated,
# MarketFinalized). ``market_id`` is null for events of the program as a whole, and for a
# WinningsClaimed (which names the market's address) until the market is known.
events = Table(
    "events",
    metadata,
    Column("signature", BYTES, primary_key=True, comment="Transaction"),
    Column("log_index", Integer, primary_key=True, comment="Line of the transaction's log"),
    Column("digest", BYTES, primary_key=True, comment="Transaction"),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Column("index_in_block", Integer, comment="Transaction"),
    Column("name", Text, comment="Discriminator of raw"),
    Column("market_id", BYTES, comment="Event; of WinningsClaimed the market with that address"),
    Column("raw", BYTES, nullable=False, comment="Log line, from base64"),
    Column("data", JSONB, comment="Decoded of raw"),
    Column("instruction", BYTES, comment="Data of the instruction that emitted it"),
    Column("quarantine_reason", Text, comment="Decoder"),
    Column("commitment", COMMITMENT, nullable=False, comment="Transaction"),
    Column(
        "first_seen_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Clock of the database",
    ),
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
        comment="Database",
    ),
    ForeignKeyConstraint(
        ("signature", "digest"), (transactions.c.signature, transactions.c.digest)
    ),
    CheckConstraint("(data IS NULL) = (quarantine_reason IS NOT NULL)", name="decoded"),
    CheckConstraint("market_id IS NULL OR octet_length(market_id) = 32", name="market_id"),
    Index(
        "uq_events_live",
        "signature",
        "log_index",
        unique=True,
        postgresql_where=text("commitment <> 'orphaned'"),
    ),
    Index(None, "market_id", "slot", "index_in_block", "log_index"),
    Index(None, "slot"),
    Index(None, "xid"),
    Index(
        "ix_events_unfinalized",
        "market_id",
        "commitment",
        postgresql_where=text("commitment IN ('reported', 'confirmed')"),
    ),
    Index(
        "ix_events_quarantined",
        "first_seen_at",
        postgresql_where=text("quarantine_reason IS NOT NULL"),
    ),
    Index(
        "ix_events_disputes",
        "market_id",
        "slot",
        postgresql_where=text("name = 'DisputeInitiated'"),
    ),
    Index(
        "ix_events_unresolved",
        text("(data ->> 'market')"),
        postgresql_where=text("market_id IS NULL AND name = 'WinningsClaimed'"),
    ),
    schema="chain",
)

# Slot ranges read completely at finalized. Ranges never overlap; touching ones are merged.
coverage = Table(
    "coverage",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Database"),
    Column(
        "slots",
        INT8RANGE,
        nullable=False,
        comment="Windows closed by the finalized reader and backfill",
    ),
    Column(
        "covered_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Clock of the database",
    ),
    ExcludeConstraint(("slots", "&&"), name="no_overlap", using="gist"),
    schema="chain",
)

# What is known to be missing. 'unread': a listed signature whose transaction is not there;
# 'incomplete': a reading with a cut or broken log or a quarantined event; 'inapplicable': an event
# that does not follow on the state before it (another one is missing, or lies).
gaps = Table(
    "gaps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="Database"),
    Column("signature", BYTES, nullable=False, comment="Listing or transaction"),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('unread', 'incomplete', 'inapplicable')", name="kind"),
        nullable=False,
        comment="Reader, decoder or fold",
    ),
    Column("slot", BigInteger, comment="Listing or transaction"),
    Column("reason", Text, nullable=False, comment="What the reader, decoder or fold found"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="Reader"),
    Column(
        "opened_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Clock of the database",
    ),
    Column("retry_at", TIME, nullable=False, server_default=func.now(), comment="Reader"),
    Column("closed_at", TIME, comment="Clock of the database"),
    Index(
        "uq_gaps_open",
        "signature",
        "kind",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
    ),
    schema="chain",
)

# Signatures that a delivery without logs named, to be read by RPC. 'pending' until then;
# 'read': the ledger holds it; 'foreign': it does not concern the program; 'unknown': no node
# had it at any of the attempts. None of these is a gap: only a listing proves that a
# transaction is missing.
hints = Table(
    "hints",
    metadata,
    Column(
        "signature",
        BYTES,
        CheckConstraint("octet_length(signature) = 64", name="signature"),
        primary_key=True,
        comment="Delivery without logs",
    ),
    Column("slot", BigInteger, comment="Delivery without logs"),
    Column(
        "delivery_id",
        BigInteger,
        ForeignKey(deliveries.c.id),
        nullable=False,
        comment="Delivery without logs",
    ),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('pending', 'read', 'foreign', 'unknown')", name="status"),
        nullable=False,
        server_default="pending",
        comment="Reader of hints",
    ),
    Column("reason", Text, comment="Reader of hints"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="Reader of hints"),
    Column(
        "received_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Clock of the database",
    ),
    Column("retry_at", TIME, nullable=False, server_default=func.now(), comment="Reader of hints"),
    Column("settled_at", TIME, comment="Clock of the database"),
    CheckConstraint("(status = 'pending') = (settled_at IS NULL)", name="settled"),
    Index("ix_hints_pending", "retry_at", postgresql_where=text("status = 'pending'")),
    schema="chain",
)

# Positions of the pollers and observers, moved in the transaction that writes their rows.
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True, comment="Reader"),
    Column(
        "slot",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Reader: how far it has read",
    ),
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Observer: how far it has looked",
    ),
    Column(
        "updated_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Clock of the database",
    ),
    schema="chain",
)
