"""Schema ``voting``: ballots and tallies. Ballots are born here and exist nowhere else."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from zmart_pipelines.store.tables.base import BYTES, TIME, metadata


def _kind() -> Column[str]:
    return Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('proposal', 'dispute')", name="kind"),
        nullable=False,
    )


def _weight() -> Column[int]:
    return Column(
        "weight",
        BigInteger,
        CheckConstraint("weight > 0", name="weight"),
        nullable=False,
        server_default="1",
    )


# One wallet's vote with its proof: the exact text that the wallet signed. ``scheme`` tells
# the form of that text ('zmart-1' or one of the older clients' forms). A ballot is never
# changed or deleted. ``source`` is 'wallet'; votes cast on chain are market.chain_votes.
ballots = Table(
    "ballots",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("market_id", BYTES, nullable=False),
    _kind(),
    Column("round", Integer, nullable=False, server_default="0"),
    Column("wallet", BYTES, nullable=False),
    Column("source", Text, nullable=False, server_default="wallet"),
    Column("choice", Boolean, nullable=False),
    Column("scheme", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("signature", BYTES, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("accepted_at", TIME, nullable=False, server_default=func.now()),
    Column(
        "xid",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
    ),
    _weight(),
    UniqueConstraint("market_id", "kind", "round", "wallet", "source"),
    UniqueConstraint("signature"),
    UniqueConstraint("wallet", "idempotency_key"),
    CheckConstraint("octet_length(market_id) = 32", name="market_id"),
    CheckConstraint("octet_length(wallet) = 32", name="wallet"),
    CheckConstraint("octet_length(signature) = 64", name="signature"),
    Index(None, "wallet"),
    schema="voting",
)

# The count of a market, kind and round. Open: counts move with the ballots. Frozen: the
# counts at ``frozen_slot`` are what is submitted, and no ballot is accepted any more. Ops
# may reopen: the row becomes 'reopened' and the next round starts with a row of its own.
# The counts are sums of weights, ``ballots`` is the number of wallets behind them.
# ``weight_unit``: shares (9 decimals) that make one vote, fixed with the row; null: each
# wallet counts once.
tallies = Table(
    "tallies",
    metadata,
    Column("market_id", BYTES, nullable=False),
    _kind(),
    Column("round", Integer, nullable=False, server_default="0"),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('open', 'frozen', 'reopened')", name="status"),
        nullable=False,
        server_default="open",
    ),
    Column("votes_for", BigInteger, nullable=False, server_default="0"),
    Column("votes_against", BigInteger, nullable=False, server_default="0"),
    Column("frozen_slot", BigInteger),
    Column("frozen_chain_time", BigInteger),
    Column("bundle_cid", Text),
    Column("opened_at", TIME, nullable=False, server_default=func.now()),
    Column("frozen_at", TIME),
    Column("counted_at", TIME),
    Column("weight_unit", BigInteger, CheckConstraint("weight_unit > 0", name="weight_unit")),
    Column(
        "ballots",
        BigInteger,
        CheckConstraint("ballots >= 0", name="ballots"),
        nullable=False,
        server_default="0",
    ),
    PrimaryKeyConstraint("market_id", "kind", "round"),
    CheckConstraint("votes_for >= 0 AND votes_against >= 0", name="counts"),
    CheckConstraint(
        "(status = 'open') = (frozen_slot IS NULL)",
        name="frozen",
    ),
    schema="voting",
)

# The ballots that a frozen tally counts, each with its proof as it goes into the bundle.
counted_ballots = Table(
    "counted_ballots",
    metadata,
    Column("market_id", BYTES, nullable=False),
    _kind(),
    Column("round", Integer, nullable=False),
    Column("wallet", BYTES, nullable=False),
    Column(
        "source",
        Text,
        CheckConstraint("source IN ('wallet', 'chain')", name="source"),
        nullable=False,
    ),
    Column("choice", Boolean, nullable=False),
    Column("proof", JSONB, nullable=False),
    _weight(),
    PrimaryKeyConstraint("market_id", "kind", "round", "wallet"),
    schema="voting",
)

# News that the aggregator has not settled yet, of votes and of markets' states: rows are
# added with each change, and taken away by the look that saw them.
change_queue = Table(
    "change_queue",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("market_id", BYTES, nullable=False),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('proposal', 'dispute', 'state')", name="kind"),
        nullable=False,
    ),
    schema="voting",
)

# The rules by which all open votes of a kind were last looked at. Under other rules all are
# looked at again.
scans = Table(
    "scans",
    metadata,
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('proposal', 'dispute')", name="kind"),
        primary_key=True,
    ),
    Column("threshold_bps", Integer, nullable=False),
    Column("minimum_votes", BigInteger, nullable=False),
    schema="voting",
)
