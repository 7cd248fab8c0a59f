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

# One webhook request as received, committed before it is processed.
deliveries = Table(
    "deliveries",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("source", Text, nullable=False, comment="API: route that received the request"),
    Column("body", BYTES, nullable=False, comment="Webhook request: body as received"),
    Column("body_sha256", BYTES, nullable=False, comment="Computed: SHA-256 of body"),
    Column("transaction_count", Integer, nullable=False, comment="Computed: transactions in body"),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('received', 'ingested', 'failed')", name="status"),
        nullable=False,
        server_default="received",
        comment="Delivery intake: state of its ingestion",
    ),
    Column("error", Text, comment="Delivery intake: why the last attempt failed"),
    Column(
        "attempts",
        Integer,
        nullable=False,
        server_default="0",
        comment="Delivery intake: failed attempts",
    ),
    Column(
        "received_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("ingested_at", TIME, comment="Database clock: when its transactions were ingested"),
    Column(
        "unreadable_count",
        Integer,
        nullable=False,
        server_default="0",
        comment="Computed: entries of body that could not be read",
    ),
    Column(
        "unreadable",
        JSONB,
        comment="Computed: position in body and reason of the first of these entries",
    ),
    Index(None, "id", postgresql_where=text("status <> 'ingested'")),
    Index(None, "received_at", postgresql_where=text("unreadable_count > 0")),
    schema="chain",
)

# One reading of a transaction that names our program. Identity is the signature: at most one
# reading of it is not orphaned. ``digest`` is the digest of what was read (slot, outcome,
# logs, instructions), so that the same reading is one row however often it arrives, and a
# transaction that reappears in another slot, or was first reported wrongly, is another.
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
        comment="Computed: digest of slot, outcome, logs and instructions",
    ),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Column("index_in_block", Integer, comment="Block listing or webhook, if it reports the index"),
    Column("block_time", BigInteger, comment="Transaction"),
    Column("failed", Boolean, nullable=False, comment="Transaction: meta.err"),
    Column("error", JSONB, comment="Transaction: meta.err"),
    Column("fee", BigInteger, comment="Transaction: meta.fee"),
    Column("logs", BYTES, nullable=False, comment="Transaction: meta.logMessages"),
    Column(
        "logs_truncated",
        Boolean,
        nullable=False,
        comment="Computed: whether the logs end with Log truncated",
    ),
    Column(
        "instructions",
        JSONB,
        nullable=False,
        comment="Transaction: the program's instructions, outer and inner",
    ),
    Column(
        "commitment",
        COMMITMENT,
        nullable=False,
        comment="Highest commitment of its readings; orphaned if no fork contains it",
    ),
    # Bits of the sources that reported it (``ledger.model.provenance.Source``).
    Column(
        "sources",
        SmallInteger,
        nullable=False,
        comment="Ingest: bits of the sources that reported it",
    ),
    # No foreign key: deliveries are deleted after their retention.
    Column("delivery_id", BigInteger, comment="Webhook request that reported it first"),
    Column(
        "first_seen_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("finalized_at", TIME, comment="Database clock: when it was promoted to finalized"),
    Column(
        "confirmed_at",
        TIME,
        comment="Database clock: when it was first known as confirmed or finalized; null in older"
        " rows",
    ),
    # The writing transaction, for cursors that must not skip rows committed late.
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
        comment="Database: id of the inserting transaction",
    ),
    # A finalized reading that turned out to be false names the one that it gave way to.
    Column(
        "superseded_by",
        BYTES,
        comment="Ingest: digest of the finalized reading that this finalized one gave way to",
    ),
    Column("superseded_reason", Text, comment="Ingest: what is wrong with this finalized reading"),
    CheckConstraint(
        "(superseded_by IS NULL) = (superseded_reason IS NULL) AND (superseded_by IS NULL OR "
        "commitment = 'orphaned' AND superseded_by <> digest)",
        name="superseded",
    ),
    Index(
        "uq_transactions_live",
        "signature",
        unique=True,
        postgresql_where=text("commitment <> 'orphaned'"),
    ),
    Index(None, "slot", "index_in_block"),
    Index(None, "block_time", "slot"),
    Index(None, "xid"),
    Index(
        "ix_transactions_unfinalized",
        "slot",
        postgresql_where=text("commitment IN ('reported', 'confirmed')"),
    ),
    schema="chain",
)

# The wallet that an event names first, as SQL over ``data``: the one that sent the transaction.
# Events of the backend authority name none.
EVENT_WALLET = (
    "coalesce(data ->> 'user', data ->> 'creator', data ->> 'resolver', data ->> 'initiator',"
    " data ->> 'approved_by', data ->> 'cancelled_by', data ->> 'paused_by', data ->> 'admin')"
)

# One event line of our program, decoded or quarantined. Identity is (signature, log_index),
# order is (slot, index_in_block, log_index). ``raw`` is the line's payload, ``data`` the
# same decoded for display and search. ``instruction`` is the data of the instruction
# that emitted it, kept where the event alone is not enough to fold (MarketCreated,
# MarketFinalized). ``market_id`` is null for events of the program as a whole, and for a
# WinningsClaimed (which names the market's address) until the market is known.
events = Table(
    "events",
    metadata,
    Column("signature", BYTES, primary_key=True, comment="Transaction"),
    Column("log_index", Integer, primary_key=True, comment="Transaction: line number in its log"),
    Column("digest", BYTES, primary_key=True, comment="Transaction: digest of its reading"),
    Column("slot", BigInteger, nullable=False, comment="Transaction"),
    Column("index_in_block", Integer, comment="Transaction"),
    Column("name", Text, comment="Computed: event name of the discriminator in raw"),
    Column(
        "market_id", BYTES, comment="Event; for WinningsClaimed the market at the event's address"
    ),
    Column(
        "raw", BYTES, nullable=False, comment="Transaction: payload of the log line, from base64"
    ),
    Column("data", JSONB, comment="Computed: raw, decoded"),
    Column(
        "instruction", BYTES, comment="Transaction: data of the instruction that emitted the event"
    ),
    Column("quarantine_reason", Text, comment="Decoder: why raw could not be decoded"),
    Column("commitment", COMMITMENT, nullable=False, comment="Transaction: its commitment"),
    Column(
        "first_seen_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
        comment="Database: id of the inserting transaction",
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
    Index(None, "name", "slot"),
    Index(
        "ix_events_market_name",
        "market_id",
        "name",
        "slot",
        postgresql_where=text("name <> 'SharesBought'"),
    ),
    Index(
        "ix_events_wallet",
        text(EVENT_WALLET),
        "slot",
        postgresql_where=text("name IS NOT NULL"),
    ),
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
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "slots",
        INT8RANGE,
        nullable=False,
        comment="Readers: windows closed at finalized, merged",
    ),
    Column(
        "covered_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    ExcludeConstraint(("slots", "&&"), name="no_overlap", using="gist"),
    schema="chain",
)

# What is known to be missing. 'unread': a listed signature whose transaction is not stored;
# 'unsupported': one of a version that cannot be decoded; 'contradictory': a reading that
# contradicts itself, its listing, or a finalized one; 'incomplete': a reading with a truncated
# or invalid log or a quarantined event;
# 'inapplicable': an event that does not follow from the state before it (another one is
# missing, or false).
gaps = Table(
    "gaps",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("signature", BYTES, nullable=False, comment="Listing or transaction"),
    Column(
        "kind",
        Text,
        CheckConstraint(
            "kind IN ('unread', 'unsupported', 'contradictory', 'incomplete', 'inapplicable')",
            name="kind",
        ),
        nullable=False,
        comment="Reader, decoder or fold that found the gap",
    ),
    Column("slot", BigInteger, comment="Listing or transaction"),
    Column("reason", Text, nullable=False, comment="Reader, decoder or fold: what is missing"),
    Column(
        "attempts",
        Integer,
        nullable=False,
        server_default="0",
        comment="Reader: attempts to close the gap",
    ),
    Column(
        "opened_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "retry_at", TIME, nullable=False, server_default=func.now(), comment="Reader: when to retry"
    ),
    Column("closed_at", TIME, comment="Database clock: when the gap was closed"),
    Index(None, "signature"),
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
        comment="Webhook request: a delivery without logs",
    ),
    Column("slot", BigInteger, comment="Webhook request: a delivery without logs"),
    Column(
        "delivery_id",
        BigInteger,
        ForeignKey(deliveries.c.id),
        nullable=False,
        comment="Webhook request that named the signature",
    ),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('pending', 'read', 'foreign', 'unknown')", name="status"),
        nullable=False,
        server_default="pending",
        comment="Hint reader: result of reading the signature",
    ),
    Column("reason", Text, comment="Hint reader: why the last attempt failed"),
    Column(
        "attempts",
        Integer,
        nullable=False,
        server_default="0",
        comment="Hint reader: attempts so far",
    ),
    Column(
        "received_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "retry_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Hint reader: when to retry",
    ),
    Column("settled_at", TIME, comment="Database clock: when the status became final"),
    CheckConstraint("(status = 'pending') = (settled_at IS NULL)", name="settled"),
    Index("ix_hints_pending", "retry_at", postgresql_where=text("status = 'pending'")),
    schema="chain",
)

# Positions of the pollers and observers, moved in the transaction that writes their rows.
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True, comment="Reader or observer that owns the cursor"),
    Column(
        "slot",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Reader: last slot read",
    ),
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Observer: first transaction id not yet observed",
    ),
    Column(
        "updated_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the cursor moved",
    ),
    Column(
        "reached_at",
        TIME,
        comment="Reader, on the database clock: when everything up to the cluster's tip had been"
        " read",
    ),
    schema="chain",
)
