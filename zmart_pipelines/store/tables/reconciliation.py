"""Schema ``ops``: the history of reconciliations with the chain's accounts, and of repairs.

The current differences are ``ops.differences``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    func,
)

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata

# One comparison of the ledger's fold with all accounts. The counts are fields that differed,
# by class; markets and positions are how many were compared.
reconciliations = Table(
    "reconciliations",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "reconciled_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "market_slot", BigInteger, nullable=False, comment="Account: slot of the market accounts"
    ),
    Column(
        "position_slot",
        BigInteger,
        nullable=False,
        comment="Account: slot of the position accounts",
    ),
    Column("covered_slot", BigInteger, comment="Coverage: finalized cursor of the ledger"),
    Column("markets", Integer, nullable=False, comment="Reconciliation: markets compared"),
    Column("positions", Integer, nullable=False, comment="Reconciliation: positions compared"),
    Column(
        "in_flight",
        Integer,
        nullable=False,
        comment="Reconciliation: fields that differ with class in_flight",
    ),
    Column(
        "lag", Integer, nullable=False, comment="Reconciliation: fields that differ with class lag"
    ),
    Column(
        "missing_event",
        Integer,
        nullable=False,
        comment="Reconciliation: fields that differ with class missing_event",
    ),
    Column(
        "decode_error",
        Integer,
        nullable=False,
        comment="Reconciliation: fields that differ with class decode_error",
    ),
    Column(
        "drift",
        Integer,
        nullable=False,
        comment="Reconciliation: fields that differ with class drift",
    ),
    Index(None, "reconciled_at"),
    schema="ops",
)

# One market whose transactions were read again because it differed. ``listed`` are the
# transactions that the node lists for it, ``read`` those read again, ``unread`` those that
# could not be, ``contradicted`` those of which the ledger holds another finalized reading, which
# stays. ``refolded`` says whether the stored projection was not the fold of the ledger.
repairs = Table(
    "repairs",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("market_id", BYTES, nullable=False, comment="Reconciliation: market that differed"),
    Column(
        "repaired_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "scope",
        Text,
        CheckConstraint("scope IN ('missing', 'everything')", name="scope"),
        nullable=False,
        comment="Repair: which listed transactions were read",
    ),
    Column("listed", Integer, nullable=False, comment="Node: transactions listed for the market"),
    Column("read", Integer, nullable=False, comment="Repair: transactions read again"),
    Column(
        "unread", Integer, nullable=False, comment="Repair: transactions that could not be read"
    ),
    Column(
        "contradicted",
        Integer,
        nullable=False,
        comment="Repair: finalized readings that differ from the ledger's",
    ),
    Column(
        "new_transactions",
        Integer,
        nullable=False,
        comment="Ingest: transactions that were not in the ledger",
    ),
    Column(
        "new_events", Integer, nullable=False, comment="Ingest: events that were not in the ledger"
    ),
    Column(
        "refolded",
        Boolean,
        nullable=False,
        comment="Repair: whether the stored projection differed from the fold",
    ),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    Index(None, "market_id", "repaired_at"),
    schema="ops",
)
