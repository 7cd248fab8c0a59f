"""Schema ``market``: leaderboards, which the refresh of the statistics adds up from wallet_hours.

Triggers on ``wallet_hours`` enqueue the wallets whose hours changed, whoever changed them; a
refresh adds up the enqueued wallets and those whose hours left a window.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    text,
)

from zmart_pipelines.store.tables.base import BYTES, U64, metadata

# The lengths of the windows in seconds, by name; None: all time. A window begins with a full hour.
PERIODS: Final = {"day": 86_400, "week": 604_800, "all": None}

# The window of each leaderboard when it was last added up.
leaderboards = Table(
    "leaderboards",
    metadata,
    Column("period", Text, primary_key=True, comment="Configuration: day, week or all"),
    Column(
        "starts_at",
        BigInteger,
        nullable=False,
        comment="Chain clock: first second of the window; 0 for all time",
    ),
    Column(
        "as_of",
        BigInteger,
        nullable=False,
        comment="Chain clock: when the entries were added up, in seconds",
    ),
    Column(
        "valid_until",
        BigInteger,
        comment="Computed: when the oldest hour leaves the window, in chain seconds",
    ),
    CheckConstraint("period IN ('day', 'week', 'all')", name="period"),
    schema="market",
)

# A wallet's sums over the hours of a window.
leaderboard_entries = Table(
    "leaderboard_entries",
    metadata,
    Column(
        "period",
        Text,
        ForeignKey(leaderboards.c.period, ondelete="CASCADE"),
        primary_key=True,
        comment="leaderboards.period",
    ),
    Column("wallet", BYTES, primary_key=True, comment="wallet_hours.wallet"),
    Column("trades", BigInteger, nullable=False, comment="Sum of wallet_hours.trades"),
    Column("volume", U64, nullable=False, comment="Sum of wallet_hours.volume"),
    Column("profit", U64, nullable=False, comment="Sum of wallet_hours.realised_pnl"),
    Column("resolved", BigInteger, nullable=False, comment="Sum of wallet_hours.resolved"),
    Column(
        "resolved_right",
        BigInteger,
        nullable=False,
        comment="Sum of wallet_hours.resolved_right",
    ),
    Index(
        "ix_leaderboard_entries_volume",
        "period",
        "volume",
        "wallet",
        postgresql_where=text("volume > 0"),
    ),
    Index(
        "ix_leaderboard_entries_profit",
        "period",
        "profit",
        "wallet",
        postgresql_where=text("profit <> 0"),
    ),
    Index(
        "ix_leaderboard_entries_resolved_right",
        "period",
        "resolved_right",
        text("(resolved_right - resolved)"),
        "wallet",
        postgresql_where=text("resolved > 0"),
    ),
    schema="market",
)

# Wallets whose hours changed since the leaderboards were added up; one may occur repeatedly.
leaderboard_queue = Table(
    "leaderboard_queue",
    metadata,
    Column(
        "id",
        BigInteger,
        Identity(always=True),
        primary_key=True,
        comment="Database: identity sequence",
    ),
    Column("wallet", BYTES, nullable=False, comment="wallet_hours.wallet"),
    schema="market",
)
