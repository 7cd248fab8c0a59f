"""Schema ``voting``: ballots and tallies. Ballots originate here and exist nowhere else."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
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


def _kind(origin: str) -> Column[str]:
    return Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('proposal', 'dispute')", name="kind"),
        nullable=False,
        comment=origin,
    )


def _weight(origin: str) -> Column[int]:
    return Column(
        "weight",
        BigInteger,
        CheckConstraint("weight > 0", name="weight"),
        nullable=False,
        server_default="1",
        comment=origin,
    )


# One wallet's vote with its proof: the exact text that the wallet signed. ``scheme`` is
# the form of that text ('zmart-1' or one of the older clients' forms). A ballot is never
# changed or deleted. ``source`` is 'wallet'; votes cast on chain are market.chain_votes.
ballots = Table(
    "ballots",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("market_id", BYTES, nullable=False, comment="Signed text: the market voted on"),
    _kind("Signed text: kind of vote"),
    Column(
        "round",
        Integer,
        nullable=False,
        server_default="0",
        comment="Signed text, or the open round of the vote",
    ),
    Column("wallet", BYTES, nullable=False, comment="Request: wallet whose signature was verified"),
    Column("source", Text, nullable=False, server_default="wallet", comment="API: always wallet"),
    Column(
        "choice",
        Boolean,
        nullable=False,
        comment="Signed text: like, or agreement with the dispute",
    ),
    Column("scheme", Text, nullable=False, comment="API: form of the signed text"),
    Column("message", Text, nullable=False, comment="Request: text that the wallet signed"),
    Column(
        "signature", BYTES, nullable=False, comment="Request: the wallet's signature of message"
    ),
    Column("nonce", Text, nullable=False, comment="Signed text: makes the ballot unique"),
    Column("idempotency_key", Text, comment="Request: header Idempotency-Key"),
    Column(
        "accepted_at",
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
    _weight("Computed: votes by the shares held at the dispute, 1 without weights"),
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
    Column(
        "market_id", BYTES, nullable=False, comment="Ballot or on-chain vote: the market voted on"
    ),
    _kind("Ballot or on-chain vote: kind of vote"),
    Column(
        "round",
        Integer,
        nullable=False,
        server_default="0",
        comment="Operators: 0, plus one per reopening",
    ),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('open', 'frozen', 'reopened')", name="status"),
        nullable=False,
        server_default="open",
        comment="Tally: open, frozen or reopened",
    ),
    Column(
        "votes_for",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Computed: sum of the weights of ballots in favour",
    ),
    Column(
        "votes_against",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Computed: sum of the weights of ballots against",
    ),
    Column(
        "frozen_slot", BigInteger, comment="Chain: finalized slot of the on-chain votes counted"
    ),
    Column(
        "frozen_chain_time",
        BigInteger,
        comment="Chain clock: when the tally was frozen, in seconds",
    ),
    Column("bundle_cid", Text, comment="Computed: CID of the ballot bundle"),
    Column(
        "opened_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    Column(
        "opened_chain_time",
        BigInteger,
        comment="Chain clock: when operators opened the round, in seconds; null in round 0",
    ),
    Column("frozen_at", TIME, comment="Database clock: when the tally was frozen"),
    Column("counted_at", TIME, comment="Database clock: when the counts last changed"),
    Column(
        "weight_unit",
        BigInteger,
        CheckConstraint("weight_unit > 0", name="weight_unit"),
        comment="Settings when the tally opened, or the smallest unit above with which the votes"
        " of all holders fit a u32: shares per vote (9 decimals); null counts wallets",
    ),
    Column(
        "ballots",
        BigInteger,
        CheckConstraint("ballots >= 0", name="ballots"),
        nullable=False,
        server_default="0",
        comment="Computed: number of ballots counted",
    ),
    Column(
        "margin",
        Integer,
        Computed(
            "(CASE WHEN votes_for + votes_against::numeric = 0 THEN 1000000 ELSE"
            " div(abs(votes_for - votes_against::numeric) * 1000000,"
            " votes_for + votes_against::numeric) END)::integer",
            persisted=True,
        ),
        nullable=False,
        comment="Computed: difference of the votes in millionths of their sum;"
        " 1000000 without votes",
    ),
    PrimaryKeyConstraint("market_id", "kind", "round"),
    CheckConstraint("votes_for >= 0 AND votes_against >= 0", name="counts"),
    Index("ix_tallies_margin", "margin", "market_id", postgresql_where=text("status = 'open'")),
    CheckConstraint(
        "(status = 'open') = (frozen_slot IS NULL)",
        name="frozen",
    ),
    CheckConstraint("(round > 0) = (opened_chain_time IS NOT NULL)", name="opened_chain_time"),
    Index(None, "bundle_cid", postgresql_where=text("bundle_cid IS NOT NULL")),
    Index(
        "ix_tallies_bundles",
        "frozen_at",
        "market_id",
        "kind",
        "round",
        postgresql_where=text("bundle_cid IS NOT NULL"),
    ),
    schema="voting",
)

# The ballots that a frozen tally counts, each with its proof as it goes into the bundle.
counted_ballots = Table(
    "counted_ballots",
    metadata,
    Column("market_id", BYTES, nullable=False, comment="Tally"),
    _kind("Tally"),
    Column("round", Integer, nullable=False, comment="Tally"),
    Column("wallet", BYTES, nullable=False, comment="Ballot or on-chain vote"),
    Column(
        "source",
        Text,
        CheckConstraint("source IN ('wallet', 'chain')", name="source"),
        nullable=False,
        comment="Tally: whether the signed ballot or the VoteRecord counts",
    ),
    Column("choice", Boolean, nullable=False, comment="Ballot or on-chain vote"),
    Column(
        "proof",
        JSONB,
        nullable=False,
        comment="Ballot's signed text and signature, or the VoteRecord's address",
    ),
    _weight("Ballot, or computed for an on-chain vote"),
    PrimaryKeyConstraint("market_id", "kind", "round", "wallet"),
    schema="voting",
)

# Changes of votes and of markets' states that the aggregator has not processed yet. Each change
# enqueues a row; the scan that read it dequeues it.
change_queue = Table(
    "change_queue",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column(
        "market_id",
        BYTES,
        nullable=False,
        comment="Ballot, event or operator action that changed the vote or state",
    ),
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('proposal', 'dispute', 'state')", name="kind"),
        nullable=False,
        comment="What changed: the votes of a kind, or the market's state",
    ),
    Column(
        "enqueued_at",
        TIME,
        nullable=False,
        server_default=func.now(),
        comment="Database clock: when the row was inserted",
    ),
    schema="voting",
)

# The rules of the last full scan of a kind's open votes. Other rules cause another full scan.
scans = Table(
    "scans",
    metadata,
    Column(
        "kind",
        Text,
        CheckConstraint("kind IN ('proposal', 'dispute')", name="kind"),
        primary_key=True,
        comment="Aggregator: kind of vote scanned",
    ),
    Column(
        "threshold_bps",
        Integer,
        nullable=False,
        comment="GlobalConfig: threshold of the last full scan, in basis points",
    ),
    Column(
        "minimum_votes",
        BigInteger,
        nullable=False,
        comment="Settings: least number of votes at the last full scan",
    ),
    schema="voting",
)
