"""Table ``ops.orders``: what operators order through the API, and what came of it."""

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
from sqlalchemy.dialects.postgresql import JSONB

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

KINDS = (
    "resolve_market",
    "backfill",
    "breaker_reset",
    "switch",
    "redeliver",
    "redecode",
    "retry_submission",
    "close_submission",
    "reopen_vote",
)

# The API inserts an order; the pipelines carry it out and change its status.
orders = Table(
    "orders",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "kind",
        Text,
        CheckConstraint(f"kind IN {KINDS!r}", name="kind"),
        nullable=False,
        comment="Request: what is ordered",
    ),
    Column("parameters", JSONB, nullable=False, comment="Request: the parameters of the kind"),
    Column(
        "reason",
        Text,
        CheckConstraint(
            "char_length(reason) BETWEEN 1 AND 500 AND reason = btrim(reason)", name="reason"
        ),
        nullable=False,
        comment="Request: why",
    ),
    Column(
        "idempotency_key",
        Text,
        nullable=False,
        unique=True,
        comment="Request: header Idempotency-Key",
    ),
    Column(
        "wallet",
        BYTES,
        CheckConstraint("octet_length(wallet) = 32", name="wallet"),
        comment="API: the operator's wallet, if a wallet signed in",
    ),
    Column("service", Text, comment="API: name of the service whose key was sent, if one was"),
    Column(
        "key_id",
        BigInteger,
        comment="API: the key's row in ops.api_keys; null for the key of the settings",
    ),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('requested', 'accepted', 'done', 'failed')", name="status"),
        nullable=False,
        server_default="requested",
        comment="Pipelines: requested, accepted by a run, done or failed",
    ),
    Column("result", Text, comment="Pipelines: what was done, or why it was not"),
    Column("run_id", Text, comment="Dagster: the last run that accepted it"),
    Column(
        "attempts",
        Integer,
        nullable=False,
        server_default="0",
        comment="Pipelines: how many runs accepted it",
    ),
    Column(
        "requested_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("accepted_at", TIME, comment="Database clock: when a run first accepted it"),
    Column("ended_at", TIME, comment="Database clock: when it was done or failed"),
    CheckConstraint(
        "num_nonnulls(wallet, service) = 1 AND (key_id IS NULL OR service IS NOT NULL)",
        name="requester",
    ),
    CheckConstraint(
        "(status IN ('done', 'failed')) = (ended_at IS NOT NULL)"
        " AND (ended_at IS NULL) = (result IS NULL)"
        " AND (status = 'requested') = (accepted_at IS NULL)",
        name="ended",
    ),
    Index("ix_orders_open", "id", postgresql_where=text("status IN ('requested', 'accepted')")),
    schema="ops",
)
