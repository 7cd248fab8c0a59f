"""Schema ``ops``: the history of comparing with the chain's accounts, and of repairs.

The differences of the moment are ``ops.differences``.
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
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("reconciled_at", TIME, nullable=False, server_default=func.now()),
    Column("market_slot", BigInteger, nullable=False),
    Column("position_slot", BigInteger, nullable=False),
    Column("covered_slot", BigInteger),
    Column("markets", Integer, nullable=False),
    Column("positions", Integer, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("lag", Integer, nullable=False),
    Column("missing_event", Integer, nullable=False),
    Column("decode_error", Integer, nullable=False),
    Column("drift", Integer, nullable=False),
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
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("market_id", BYTES, nullable=False),
    Column("repaired_at", TIME, nullable=False, server_default=func.now()),
    Column(
        "scope",
        Text,
        CheckConstraint("scope IN ('missing', 'everything')", name="scope"),
        nullable=False,
    ),
    Column("listed", Integer, nullable=False),
    Column("read", Integer, nullable=False),
    Column("unread", Integer, nullable=False),
    Column("contradicted", Integer, nullable=False),
    Column("new_transactions", Integer, nullable=False),
    Column("new_events", Integer, nullable=False),
    Column("refolded", Boolean, nullable=False),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    Index(None, "market_id", "repaired_at"),
    schema="ops",
)
