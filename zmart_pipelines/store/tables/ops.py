"""Schema ``ops``: submissions, the live stream, alerts, heartbeats, switches."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

ACTIONS = (
    "aggregate_proposal_votes",
    "approve_proposal",
    "activate_market",
    "resolve_market",
    "finalize_market",
)

# What must become true on chain. One per market, action and round, for ever.
intents = Table(
    "intents",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("market_id", BYTES, nullable=False),
    Column(
        "action",
        Text,
        CheckConstraint(f"action IN {ACTIONS!r}", name="action"),
        nullable=False,
    ),
    Column("round", BigInteger, nullable=False, server_default="0"),
    Column("arguments", JSONB, nullable=False),
    Column("bundle_cid", Text),
    Column(
        "status",
        Text,
        CheckConstraint(
            "status IN ('planned', 'live', 'final', 'superseded', 'failed', 'quarantined')",
            name="status",
        ),
        nullable=False,
        server_default="planned",
    ),
    Column("reason", Text),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("retry_at", TIME, nullable=False, server_default=func.now()),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("created_at", TIME, nullable=False, server_default=func.now()),
    Column("updated_at", TIME, nullable=False, server_default=func.now()),
    UniqueConstraint("market_id", "action", "round"),
    Index("ix_intents_open", "id", postgresql_where=text("status IN ('planned', 'live')")),
    schema="ops",
)

# One signed transaction that tries. Stored, signature and bytes, before it is first sent.
attempts = Table(
    "attempts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("intent_id", BigInteger, ForeignKey(intents.c.id), nullable=False),
    Column("market_id", BYTES, nullable=False),
    Column("signature", BYTES, nullable=False, unique=True),
    Column("transaction", BYTES, nullable=False),
    Column("blockhash", Text, nullable=False),
    Column("last_valid_block_height", BigInteger, nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('signed', 'sent', 'landed', 'final', 'dead')", name="status"),
        nullable=False,
        server_default="signed",
    ),
    Column("epoch", BigInteger, nullable=False),
    Column("sends", Integer, nullable=False, server_default="0"),
    Column("landed_slot", BigInteger),
    Column("fee", BigInteger),
    Column("compute_units", BigInteger),
    Column("error", Text),
    Column("run_id", Text),
    Column("signed_at", TIME, nullable=False, server_default=func.now()),
    Column("sent_at", TIME),
    Column("settled_at", TIME),
    CheckConstraint("octet_length(signature) = 64", name="signature"),
    # The rule that keeps effects single: at most one attempt per market may still land.
    Index(
        "uq_attempts_live",
        "market_id",
        unique=True,
        postgresql_where=text("status IN ('signed', 'sent', 'landed')"),
    ),
    schema="ops",
)

# Who may write intents and attempts. Every such write is fenced by the epoch.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", TIME, nullable=False),
    schema="ops",
)

# What live clients are told, written in the transaction that causes it. ``position`` is the
# one global sequence: given under an advisory lock taken last, so its order is the order of
# commits. ``previous`` is the position before it on the same channel (0: none).
stream = Table(
    "stream",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("channel", Text, nullable=False),
    Column("previous", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=func.now()),
    Index(None, "channel", "position"),
    schema="ops",
)

# Where the fold of the ledger and a decoded account differ, one row per field while it lasts.
# Seen in two consecutive comparisons with the same values it is drift.
differences = Table(
    "differences",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("market_id", BYTES, nullable=False),
    Column("user", BYTES),
    Column("field", Text, nullable=False),
    Column("folded", Text),
    Column("chain", Text),
    Column(
        "class",
        Text,
        CheckConstraint(
            "class IN ('in_flight', 'lag', 'missing_event', 'decode_error', 'drift')",
            name="class",
        ),
        nullable=False,
    ),
    Column("slot", BigInteger, nullable=False),
    Column("occurrences", Integer, nullable=False, server_default="1"),
    Column("first_seen_at", TIME, nullable=False, server_default=func.now()),
    Column("last_seen_at", TIME, nullable=False, server_default=func.now()),
    Column("cleared_at", TIME),
    Index(
        "uq_differences_open",
        "market_id",
        "user",
        "field",
        unique=True,
        postgresql_where=text("cleared_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    ),
    schema="ops",
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("market_id", BYTES),
    Column("subject", Text),
    Column(
        "severity",
        Text,
        CheckConstraint("severity IN ('critical', 'high', 'medium')", name="severity"),
        nullable=False,
    ),
    Column("message", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Column("raised_at", TIME, nullable=False, server_default=func.now()),
    Column("cleared_at", TIME),
    # When people were told by the webhook; each alert is posted once.
    Column("posted_at", TIME),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    # A condition has one open alert, however often it is observed.
    Index(
        "uq_alerts_open",
        "topic",
        "market_id",
        "subject",
        unique=True,
        postgresql_where=text("cleared_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    ),
    Index(
        "ix_alerts_unposted",
        "id",
        postgresql_where=text(
            "posted_at IS NULL AND cleared_at IS NULL AND severity IN ('critical', 'high')"
        ),
    ),
    schema="ops",
)

# Freshness of each service: when it last did its work and what it saw.
heartbeats = Table(
    "heartbeats",
    metadata,
    Column("service", Text, primary_key=True),
    Column("last_success_at", TIME),
    Column("last_attempt_at", TIME, nullable=False),
    Column("last_error", Text),
    Column("last_error_at", TIME),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    schema="ops",
)

# Dagster runs whose start was claimed, so that a run that is delivered twice is executed once.
run_claims = Table(
    "run_claims",
    metadata,
    Column("run_id", Text, primary_key=True, comment="Dagster's id of the run"),
    Column(
        "claimed_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Clock of Postgres when a code server claimed the run",
    ),
    schema="ops",
)

# Kill switches: a row per action, and one named 'all'. Absent means on.
switches = Table(
    "switches",
    metadata,
    Column("action", Text, primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("changed_at", TIME, nullable=False, server_default=func.now()),
    schema="ops",
)

# Circuit breakers of RPC endpoints and of actions; ``zmart_pipelines.breakers.machine`` says
# what the columns mean and alone decides them. A name that is absent is closed.
breakers = Table(
    "breakers",
    metadata,
    Column("name", Text, primary_key=True),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('closed', 'open', 'half_open')", name="state"),
        nullable=False,
        server_default="closed",
    ),
    Column("generation", BigInteger, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("subjects", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("level", Integer, nullable=False, server_default="0"),
    Column("opened_at", TIME),
    Column("wait_until", TIME),
    Column("last_error", Text),
    Column("changed_at", TIME, nullable=False, server_default=func.now()),
    CheckConstraint(
        "(state = 'closed') = (opened_at IS NULL) AND (state = 'closed') = (wait_until IS NULL)",
        name="times",
    ),
    schema="ops",
)
