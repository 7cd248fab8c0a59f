"""Schema ``ops``: transactions that wallets signed and the API relays."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

# Stored before the bytes are first sent. A row without ``settled_at`` is open: it may still land.
relayed_transactions = Table(
    "relayed_transactions",
    metadata,
    Column("signature", BYTES, primary_key=True, comment="Transaction: the fee payer's signature"),
    Column("fee_payer", BYTES, nullable=False, comment="Transaction: the wallet that signed first"),
    Column("transaction", BYTES, nullable=False, comment="Request: signed bytes"),
    Column(
        "instructions",
        ARRAY(Text),
        nullable=False,
        comment="Transaction: names of the program's instructions",
    ),
    Column(
        "last_valid_block_height",
        BigInteger,
        nullable=False,
        comment="Chain: block height after which it cannot land",
    ),
    Column(
        "state",
        Text,
        CheckConstraint(
            "state IN ('stored', 'sent', 'confirmed', 'finalized', 'failed', 'expired')",
            name="state",
        ),
        nullable=False,
        server_default="stored",
        comment="Relay: how far it has come",
    ),
    Column(
        "sends",
        Integer,
        nullable=False,
        server_default="0",
        comment="Relay: times that a node took it",
    ),
    Column("refusal", Text, comment="Nodes: why none took it when it was last refused"),
    Column("landed_slot", BigInteger, comment="Chain: slot that contains it"),
    Column("error", JSONB, comment="Chain: the transaction's error at finalized"),
    Column("holder", Text, comment="Relay: process that drives it"),
    Column(
        "epoch",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Database: incremented at each change of holder",
    ),
    Column(
        "leased_until",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock plus the lease's duration",
    ),
    Column(
        "received_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column("sent_at", TIME, comment="Database clock: when a node first took it"),
    Column(
        "confirmed_at", TIME, comment="Database clock: when it was first seen in a confirmed block"
    ),
    Column("settled_at", TIME, comment="Database clock: when its end became known"),
    CheckConstraint("octet_length(signature) = 64", name="signature"),
    CheckConstraint("octet_length(fee_payer) = 32", name="fee_payer"),
    CheckConstraint("octet_length(transaction) BETWEEN 1 AND 1232", name="transaction"),
    CheckConstraint(
        "(state IN ('finalized', 'failed', 'expired')) = (settled_at IS NOT NULL)", name="settled"
    ),
    CheckConstraint(
        "(state IN ('confirmed', 'finalized', 'failed')) = (landed_slot IS NOT NULL)",
        name="landed",
    ),
    CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="error"),
    Index(
        "ix_relayed_transactions_open",
        "received_at",
        postgresql_where=text("settled_at IS NULL"),
    ),
    Index(None, "fee_payer", "received_at"),
    schema="ops",
)
