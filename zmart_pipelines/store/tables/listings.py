"""Schema ``market``: what lists of markets are searched, filtered and sorted by.

One row per market, which triggers maintain (``migrations/sql/0015_listings.sql``): no role writes
here, and a rebuilt market, a draft matched later and refreshed statistics arrive by themselves.
What changes with each trade is not repeated here; lists read it from ``markets``.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.tables.base import BYTES, U64, metadata
from zmart_pipelines.store.tables.market import markets

# Words are in lower case and without accents. ``volume_24h`` (lamports) and ``trending_score``
# are as old as the market's statistics.
listings = Table(
    "listings",
    metadata,
    Column(
        "market_id",
        BYTES,
        ForeignKey(markets.c.market_id, ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
        comment="Markets",
    ),
    Column("created_at", BigInteger, nullable=False, comment="markets.created_at"),
    Column("state", SmallInteger, nullable=False, comment="markets.state"),
    Column("category", Text, comment="market_drafts.category of the matched draft"),
    Column(
        "tags",
        ARRAY(Text),
        nullable=False,
        server_default=text("'{}'"),
        comment="market_drafts.tags of the matched draft, in lower case",
    ),
    Column(
        "ends_at",
        BigInteger,
        comment="market_drafts.ends_at of the matched draft, in microseconds since 1970",
    ),
    Column(
        "question_words",
        TSVECTOR,
        nullable=False,
        comment="Computed: words of the matched draft's question",
    ),
    Column(
        "words",
        TSVECTOR,
        nullable=False,
        comment="Computed: words of the matched draft's question, tags and description",
    ),
    Column(
        "volume_24h",
        U64,
        nullable=False,
        server_default=text("0"),
        comment="market_statistics.volume_24h",
    ),
    Column(
        "trending_score",
        U64,
        nullable=False,
        server_default=text("0"),
        comment="Computed: 6 x volume_24h + 4 SOL x traders_24h of market_statistics",
    ),
    Index("ix_listings_category_created_at_market_id", "category", "created_at", "market_id"),
    Index(
        "ix_listings_category_state_created_at_market_id",
        "category",
        "state",
        "created_at",
        "market_id",
    ),
    Index("ix_listings_created_at_market_id", "created_at", "market_id"),
    Index("ix_listings_ends_at_market_id", "ends_at", "market_id"),
    Index(
        "ix_listings_active",
        "ends_at",
        "created_at",
        postgresql_where=text(f"state = {MarketState.ACTIVE}"),
    ),
    Index("ix_listings_volume_24h_market_id", "volume_24h", "market_id"),
    Index("ix_listings_trending_score_market_id", "trending_score", "market_id"),
    Index("ix_listings_tags", "tags", postgresql_using="gin"),
    Index("ix_listings_question_words", "question_words", postgresql_using="gin"),
    Index("ix_listings_words", "words", postgresql_using="gin"),
    schema="market",
)
