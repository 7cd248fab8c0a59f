"""Schema ``ops``: submissions, the live stream, alerts, heartbeats, switches."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
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

# What must become true on chain. One per market, action and round, permanently.
intents = Table(
    "intents",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("market_id", BYTES, nullable=False, comment="Planner: market to act on"),
    Column(
        "action",
        Text,
        CheckConstraint(f"action IN {ACTIONS!r}", name="action"),
        nullable=False,
        comment="Planner: instruction to send",
    ),
    Column(
        "round",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Planner: round of the tally or resolution",
    ),
    Column("arguments", JSONB, nullable=False, comment="Planner: arguments of the instruction"),
    Column("bundle_cid", Text, comment="Tally: CID of its ballot bundle"),
    Column(
        "status",
        Text,
        CheckConstraint(
            "status IN ('planned', 'live', 'final', 'superseded', 'failed', 'quarantined')",
            name="status",
        ),
        nullable=False,
        server_default="planned",
        comment="Submitter: state of the intent",
    ),
    Column("reason", Text, comment="Submitter or operator: why it has this status"),
    Column(
        "failures",
        Integer,
        nullable=False,
        server_default="0",
        comment="Submitter: failed attempts in a row",
    ),
    Column(
        "retry_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Submitter: when to try again",
    ),
    Column(
        "epoch",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Lease: epoch of the last writer",
    ),
    Column(
        "due_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Planner: when the decision became due, by the database's clock",
    ),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "updated_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: last change of the row",
    ),
    CheckConstraint("due_at <= created_at", name="due_at"),
    UniqueConstraint("market_id", "action", "round"),
    Index("ix_intents_open", "id", postgresql_where=text("status IN ('planned', 'live')")),
    Index(
        "ix_intents_settled",
        "updated_at",
        postgresql_where=text("status NOT IN ('planned', 'live')"),
    ),
    schema="ops",
)

# One signed transaction that tries. Stored, signature and bytes, before it is first sent.
attempts = Table(
    "attempts",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "intent_id",
        BigInteger,
        ForeignKey(intents.c.id),
        nullable=False,
        comment="Intent that the attempt serves",
    ),
    Column("market_id", BYTES, nullable=False, comment="Intent"),
    Column(
        "signature",
        BYTES,
        nullable=False,
        unique=True,
        comment="Signer: signature of the transaction",
    ),
    Column("transaction", BYTES, nullable=False, comment="Signer: signed bytes"),
    Column("blockhash", Text, nullable=False, comment="Chain: recent blockhash signed"),
    Column(
        "last_valid_block_height",
        BigInteger,
        nullable=False,
        comment="Chain: block height after which the blockhash expires",
    ),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('signed', 'sent', 'landed', 'final', 'dead')", name="status"),
        nullable=False,
        server_default="signed",
        comment="Submitter: state of the attempt",
    ),
    Column("epoch", BigInteger, nullable=False, comment="Lease: epoch of the signer"),
    Column("sends", Integer, nullable=False, server_default="0", comment="Submitter: times sent"),
    Column("landed_slot", BigInteger, comment="Chain: slot that contains the transaction"),
    Column("fee", BigInteger, comment="Transaction: meta.fee, in lamports"),
    Column("compute_units", BigInteger, comment="Transaction: meta.computeUnitsConsumed"),
    Column("error", Text, comment="Chain or submitter: why the attempt failed"),
    Column("run_id", Text, comment="Dagster: run that signed it"),
    Column(
        "signed_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("sent_at", TIME, comment="Database clock: when it was first sent"),
    Column("settled_at", TIME, comment="Database clock: when the status became final"),
    CheckConstraint("octet_length(signature) = 64", name="signature"),
    Index(None, "intent_id", "id"),
    Index(None, "signed_at"),
    # Exactly-once effects: at most one attempt per market may still land.
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
    Column("name", Text, primary_key=True, comment="Submitter: what the lease protects"),
    Column("holder", Text, nullable=False, comment="Submitter: process that holds it"),
    Column(
        "epoch",
        BigInteger,
        nullable=False,
        comment="Database: incremented at each change of holder",
    ),
    Column("expires_at", TIME, nullable=False, comment="Database clock plus the lease's duration"),
    schema="ops",
)

# The outbox of the live stream, written in the transaction that causes a frame. ``position`` is
# the global sequence, assigned under an advisory lock acquired last, so its order is the order of
# commits. ``previous`` is the position before it on the same channel (0: none), ``type_previous``
# that of the frame before it with the same type.
stream = Table(
    "stream",
    metadata,
    Column(
        "position",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Database: global sequence, dense in commit order",
    ),
    Column("channel", Text, nullable=False, comment="Writer: market:<id in hex> or markets"),
    Column(
        "previous",
        BigInteger,
        nullable=False,
        comment="Database: position before it on the same channel; 0 for the first",
    ),
    Column("type", Text, nullable=False, comment="Writer: type of the frame"),
    Column("payload", JSONB, nullable=False, comment="Writer: data of the frame"),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "type_previous",
        BigInteger,
        nullable=False,
        comment="Database: position before it on the same channel with the same type; 0 for the"
        " first",
    ),
    Column(
        "traceparent",
        Text,
        comment="Writer: W3C trace context of the write; null where nothing is traced",
    ),
    Index(None, "channel", "position"),
    Index(None, "channel", "type", "position"),
    schema="ops",
)

# Where the fold of the ledger and a decoded account differ, one row per field while it lasts.
# The same difference in two consecutive reconciliations is drift.
differences = Table(
    "differences",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("market_id", BYTES, nullable=False, comment="Reconciliation: market that differs"),
    Column(
        "user",
        BYTES,
        comment="Reconciliation: owner of the position that differs; null for the market's account",
    ),
    Column("field", Text, nullable=False, comment="Reconciliation: account field that differs"),
    Column("folded", Text, comment="Ledger: value after folding the events"),
    Column("chain", Text, comment="Account: value of the field"),
    Column(
        "class",
        Text,
        CheckConstraint(
            "class IN ('in_flight', 'lag', 'missing_event', 'decode_error', 'drift')",
            name="class",
        ),
        nullable=False,
        comment="Reconciliation: cause, which determines the remedy",
    ),
    Column("slot", BigInteger, nullable=False, comment="Account: slot of the snapshot compared"),
    Column(
        "occurrences",
        Integer,
        nullable=False,
        server_default="1",
        comment="Reconciliation: consecutive comparisons that found it",
    ),
    Column(
        "first_seen_at",
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
        comment="Database clock: last comparison that found it",
    ),
    Column("cleared_at", TIME, comment="Database clock: first comparison that did not find it"),
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
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("topic", Text, nullable=False, comment="Monitor that raises it: kind of condition"),
    Column("market_id", BYTES, comment="Monitor: market concerned, if any"),
    Column(
        "subject", Text, comment="Monitor: job, service, intent or other thing concerned, if any"
    ),
    Column(
        "severity",
        Text,
        CheckConstraint("severity IN ('critical', 'high', 'medium')", name="severity"),
        nullable=False,
        comment="Monitor",
    ),
    Column("message", Text, nullable=False, comment="Monitor: text for operators"),
    Column(
        "detail",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="Monitor: facts in JSON",
    ),
    Column(
        "raised_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("cleared_at", TIME, comment="Database clock: when the condition ended"),
    Column(
        "posted_at",
        TIME,
        comment="Database clock: when a message about it was last written to the outbox",
    ),
    Column(
        "reported_severity",
        Text,
        CheckConstraint(
            "reported_severity IN ('critical', 'high', 'medium')", name="reported_severity"
        ),
        comment="Monitor: severity of the condition itself; null: the same as severity",
    ),
    Column("acknowledged_at", TIME, comment="Database clock: when an operator took it over"),
    Column("acknowledged_by", Text, comment="API or command: who acknowledged it"),
    Column(
        "posted_severity",
        Text,
        CheckConstraint(
            "posted_severity IN ('critical', 'high', 'medium')", name="posted_severity"
        ),
        comment="Monitor: severity in the last message about it",
    ),
    Column(
        "closure_posted_at",
        TIME,
        comment="Database clock: when the message that it has ended was written to the outbox",
    ),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged"),
    CheckConstraint(
        "(posted_at IS NULL) = (posted_severity IS NULL) AND (closure_posted_at IS NULL"
        " OR posted_at IS NOT NULL AND cleared_at IS NOT NULL)",
        name="posted",
    ),
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
            "cleared_at IS NULL AND posted_severity IS DISTINCT FROM severity OR"
            " cleared_at IS NOT NULL AND posted_at IS NOT NULL AND closure_posted_at IS NULL"
        ),
    ),
    schema="ops",
)

# What each service last finished, and its last error. Shown only: health is measured by the work.
heartbeats = Table(
    "heartbeats",
    metadata,
    Column("service", Text, primary_key=True, comment="Service that reports"),
    Column("last_success_at", TIME, comment="Database clock: last success"),
    Column("last_attempt_at", TIME, nullable=False, comment="Database clock: last attempt"),
    Column("last_error", Text, comment="Service: text of the last error"),
    Column("last_error_at", TIME, comment="Database clock: last error"),
    Column(
        "detail",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="Service: facts of the last work, in JSON",
    ),
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

# How Dagster's runs ended. Health reads when a job last succeeded and how often it failed since.
job_runs = Table(
    "job_runs",
    metadata,
    Column("run_id", Text, primary_key=True, comment="Dagster's id of the run"),
    Column("job", Text, nullable=False, comment="Dagster: name of the job"),
    Column(
        "succeeded",
        Boolean,
        nullable=False,
        comment="Dagster: whether the run succeeded or failed",
    ),
    Column("ended_at", TIME, nullable=False, comment="Dagster: when the run ended"),
    Column("error", Text, comment="Dagster: message of the failure"),
    Index(None, "job", "ended_at"),
    schema="ops",
)

# Kill switches: a row per action, and one named 'all'. An absent row means enabled.
switches = Table(
    "switches",
    metadata,
    Column("action", Text, primary_key=True, comment="Operator: action switched, or all"),
    Column("enabled", Boolean, nullable=False, comment="Operator: whether the action may be sent"),
    Column(
        "reason",
        Text,
        nullable=False,
        server_default="",
        comment="Operator: why it is switched off",
    ),
    Column(
        "changed_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: last change",
    ),
    schema="ops",
)

# Circuit breakers of RPC endpoints and of actions; ``zmart_pipelines.breakers.machine`` says
# what the columns mean and alone decides them. A name that is absent is closed.
breakers = Table(
    "breakers",
    metadata,
    Column("name", Text, primary_key=True, comment="Caller: endpoint or action guarded"),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('closed', 'open', 'half_open')", name="state"),
        nullable=False,
        server_default="closed",
        comment="Breaker: closed, open or half_open",
    ),
    Column(
        "generation",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Breaker: incremented at each change of state",
    ),
    Column(
        "failures",
        Integer,
        nullable=False,
        server_default="0",
        comment="Breaker: consecutive failures while closed",
    ),
    Column(
        "subjects",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{}'"),
        comment="Breaker: what failed, e.g. market ids",
    ),
    Column(
        "level",
        Integer,
        nullable=False,
        server_default="0",
        comment="Breaker: failed probes in a row",
    ),
    Column("opened_at", TIME, comment="Database clock: when it left the state closed"),
    Column("wait_until", TIME, comment="Breaker: when the next probe is allowed"),
    Column("last_error", Text, comment="Caller: text of the last error"),
    Column(
        "changed_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: last change",
    ),
    CheckConstraint(
        "(state = 'closed') = (opened_at IS NULL) AND (state = 'closed') = (wait_until IS NULL)",
        name="times",
    ),
    schema="ops",
)

# Keys of services that call the API. The key itself is shown once, when it is created.
api_keys = Table(
    "api_keys",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("name", Text, nullable=False, comment="Operator: the service that has the key"),
    Column("prefix", Text, nullable=False, comment="Key: its first characters, to recognise it"),
    Column("hash", BYTES, nullable=False, unique=True, comment="Key: its SHA-256"),
    Column("scopes", ARRAY(Text), nullable=False, comment="Operator: what the key permits"),
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        comment="Operator: the wallet that it belongs to; null for a service's",
    ),
    Column(
        "created_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("revoked_at", TIME, comment="Database clock: since when it is not accepted any more"),
    Column("last_used_on", Date, comment="API: the last day (UTC) with a request that used it"),
    CheckConstraint("octet_length(hash) = 32", name="hash"),
    CheckConstraint(
        "scopes <@ ARRAY['operator', 'read', 'trade', 'unlimited']",
        name="scopes",
    ),
    Index("uq_api_keys_name", "name", unique=True, postgresql_where=text("revoked_at IS NULL")),
    schema="ops",
)
