"""Schema ``chain``: the ledger as read from Solana, and the proof that it is complete."""

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
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    Column("body", BYTES, nullable=False),
    Column("body_sha256", BYTES, nullable=False),
    Column("transaction_count", Integer, nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('received', 'ingested', 'failed')", name="status"),
        nullable=False,
        server_default="received",
    ),
    Column("error", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("received_at", TIME, nullable=False, server_default=func.now()),
    Column("ingested_at", TIME),
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
    ),
    Column(
        "digest",
        BYTES,
        CheckConstraint("octet_length(digest) = 16", name="digest"),
        primary_key=True,
    ),
    Column("slot", BigInteger, nullable=False),
    Column("index_in_block", Integer),
    Column("block_time", BigInteger),
    Column("failed", Boolean, nullable=False),
    Column("error", JSONB),
    Column("fee", BigInteger),
    Column("logs", BYTES, nullable=False),
    Column("logs_truncated", Boolean, nullable=False),
    Column("instructions", JSONB, nullable=False),
    Column("commitment", COMMITMENT, nullable=False),
    # Bits of the doors it came through (``ledger.sources.Source``).
    Column("sources", SmallInteger, nullable=False),
    Column("delivery_id", BigInteger, ForeignKey(deliveries.c.id)),
    Column("seen_at", TIME, nullable=False, server_default=func.now()),
    Column("finalized_at", TIME),
    # The writing transaction, for cursors that must not skip rows committed late.
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
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
        "ix_transactions_unfinal",
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
    Column("signature", BYTES, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    Column("digest", BYTES, primary_key=True),
    Column("slot", BigInteger, nullable=False),
    Column("index_in_block", Integer),
    Column("name", Text),
    Column("market_id", BYTES),
    Column("raw", BYTES, nullable=False),
    Column("data", JSONB),
    Column("instruction", BYTES),
    Column("quarantine_reason", Text),
    Column("commitment", COMMITMENT, nullable=False),
    Column("seen_at", TIME, nullable=False, server_default=func.now()),
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
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
        "ix_events_unfinal",
        "market_id",
        "commitment",
        postgresql_where=text("commitment IN ('reported', 'confirmed')"),
    ),
    Index(
        "ix_events_quarantined",
        "seen_at",
        postgresql_where=text("quarantine_reason IS NOT NULL"),
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
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("slots", INT8RANGE, nullable=False),
    Column("covered_at", TIME, nullable=False, server_default=func.now()),
    ExcludeConstraint(("slots", "&&"), name="no_overlap", using="gist"),
    schema="chain",
)

# What is known to be missing. 'unread': a listed signature whose transaction is not there;
# 'incomplete': a reading with a cut or broken log or a quarantined event; 'misfit': an event
# that does not follow on the state before it (another one is missing, or lies).
gaps = Table(
    "gaps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("signature", BYTES, nullable=False),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('unread', 'incomplete', 'misfit')", name="kind"),
        nullable=False,
    ),
    Column("slot", BigInteger),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("opened_at", TIME, nullable=False, server_default=func.now()),
    Column("retry_at", TIME, nullable=False, server_default=func.now()),
    Column("closed_at", TIME),
    Index(
        "uq_gaps_open",
        "signature",
        "kind",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
    ),
    schema="chain",
)

# Signatures that a delivery without logs named, to be read by RPC. 'waiting' until then;
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
    ),
    Column("slot", BigInteger),
    Column("delivery_id", BigInteger, ForeignKey(deliveries.c.id), nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('waiting', 'read', 'foreign', 'unknown')", name="status"),
        nullable=False,
        server_default="waiting",
    ),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("heard_at", TIME, nullable=False, server_default=func.now()),
    Column("retry_at", TIME, nullable=False, server_default=func.now()),
    Column("ended_at", TIME),
    CheckConstraint("(status = 'waiting') = (ended_at IS NULL)", name="ended"),
    Index("ix_hints_waiting", "retry_at", postgresql_where=text("status = 'waiting'")),
    schema="chain",
)

# Positions of the pollers and observers, moved in the transaction that writes their rows.
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("slot", BigInteger, nullable=False, server_default="0"),
    Column("xid", BigInteger, nullable=False, server_default="0"),
    Column("updated_at", TIME, nullable=False, server_default=func.now()),
    schema="chain",
)
