"""Votes of a market or a wallet: signed ballots and the chain's records together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    func,
    literal,
    select,
)

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.markets import MATCHED, QUESTION
from zmart_pipelines.store.queries.open_votes import COLUMNS
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.statement_pipeline import Statement, run
from zmart_pipelines.store.tables import community, market, metadata, voting
from zmart_pipelines.store.tables.base import TIME

# A view is not created from the metadata, so it is kept out of what migrations are compared
# with.
effective_ballots = Table(
    "effective_ballots",
    type(metadata)(),
    Column("market_id", LargeBinary),
    Column("kind", Text),
    Column("round", Integer),
    Column("wallet", LargeBinary),
    Column("source", Text),
    Column("choice", Boolean),
    Column("weight", BigInteger),
    Column("signature", LargeBinary),
    Column("voted_at", TIME),
    Column("ballot_id", BigInteger),
    schema="voting",
)

_votes = effective_ballots
_tallies = voting.tallies


class Vote(msgspec.Struct, frozen=True):
    """One wallet's vote of one kind in one round.

    Attributes:
        source: 'chain' for a VoteRecord (``signature`` is its transaction), 'wallet' for
            a signed ballot (``signature`` is the wallet's, ``ballot_id`` names the row).
        choice: like, or agreement with the dispute, when true.
        weight: Votes that it counts; 1 except in a weighted dispute.
    """

    market_id: bytes
    kind: str
    round: int
    wallet: bytes
    source: str
    choice: bool
    weight: int
    signature: bytes
    voted_at: datetime
    ballot_id: int | None


class VoteCounts(msgspec.Struct, frozen=True):
    """The votes of a market and kind in its latest round, by their weights.

    Those of an open round are counted now, those of a frozen one when it was frozen.

    Attributes:
        status: The tally's: 'open', 'frozen' or 'reopened'; None before the first vote.
    """

    kind: str
    round: int
    votes_for: int
    votes_against: int
    status: str | None

    @property
    def total(self) -> int:
        """Return the number of votes."""
        return self.votes_for + self.votes_against


# A market's votes, newest first.
ORDER: Final = Order(
    "newest",
    (
        KeyColumn("voted_at", _votes.c.voted_at, descending=True),
        KeyColumn("wallet", _votes.c.wallet),
        KeyColumn("kind", _votes.c.kind),
        KeyColumn("round", _votes.c.round, descending=True),
    ),
)


def votes_of_market(
    conn: Connection,
    market_id: bytes,
    *,
    kind: str | None = None,
    round_: int | None = None,
    limit: int = 100,
    offset: int = 0,
    after: Key | None = None,
) -> list[Vote]:
    """Return a market's effective votes, newest first; of every kind and round unless given.

    Args:
        after: Key, in ``ORDER``, of the last vote of the page before.
    """
    statement = select(_votes).where(_votes.c.market_id == market_id)
    if kind is not None:
        statement = statement.where(_votes.c.kind == kind)
    if round_ is not None:
        statement = statement.where(_votes.c.round == round_)
    page = ORDER.page(statement, after=after, limit=limit, offset=offset)
    return many(Vote, conn.execute(page))


def count_of_market(conn: Connection, market_id: bytes, *, kind: str) -> int:
    """Return the number of a market's effective votes of a kind, in all rounds."""
    statement = select(func.count()).select_from(_votes)
    statement = statement.where(_votes.c.market_id == market_id, _votes.c.kind == kind)
    return conn.execute(statement).scalar_one()


def latest_round(conn: Connection, market_id: bytes, kind: str) -> int:
    """Return the current round (0 before the first reopening)."""
    number: int | None = conn.execute(
        select(func.max(_tallies.c.round)).where(
            _tallies.c.market_id == market_id, _tallies.c.kind == kind
        )
    ).scalar_one()
    return number or 0


_COUNTS: Final = """
SELECT round, votes_for, votes_against, status FROM voting.counts(%b::bytea, %b::text)
"""


def count_statement(market_id: bytes, kind: str) -> Statement:
    """Return the statement of ``counts``; pass its row to ``counts_of_row``."""
    return Statement(_COUNTS, (market_id, kind))


def counts_of_row(kind: str, row: Sequence[Any]) -> VoteCounts:
    """Return the counts from the row of ``count_statement``."""
    return VoteCounts(kind, *row)


def counts(conn: Connection, market_id: bytes, kind: str) -> VoteCounts:
    """Return the counts of the latest round."""
    return counts_of_row(kind, run(conn, count_statement(market_id, kind)).one())


def running_counts(open_vote: VoteCounts) -> dict[str, int]:
    """Return the columns of a market's row that show the counts of its open vote."""
    counts = (open_vote.votes_for, open_vote.votes_against)
    return dict(zip(COLUMNS[open_vote.kind], counts, strict=True))


class Tally(msgspec.Struct, frozen=True):
    """A row of ``voting.tallies`` with its market's question and state."""

    market_id: bytes
    question: str
    state: int
    kind: str
    round: int
    status: str
    votes_for: int
    votes_against: int
    frozen_slot: int | None
    frozen_chain_time: int | None
    bundle_cid: str | None
    frozen_at: datetime | None


def tallies(
    conn: Connection, *, kind: str | None = None, status: str | None = None, limit: int = 1000
) -> list[Tally]:
    """Return tallies of known markets, latest opened first."""
    statement: Select[*tuple[Any, ...]] = select(
        _tallies, QUESTION.label("question"), market.markets.c.state
    ).select_from(
        _tallies.join(market.markets, market.markets.c.market_id == _tallies.c.market_id).outerjoin(
            community.market_drafts, MATCHED
        )
    )
    if kind is not None:
        statement = statement.where(_tallies.c.kind == kind)
    if status is not None:
        statement = statement.where(_tallies.c.status == status)
    order = (_tallies.c.opened_at.desc(), _tallies.c.market_id, _tallies.c.kind)
    return many(Tally, conn.execute(statement.order_by(*order).limit(limit)))


def count_voters(conn: Connection) -> int:
    """Return the number of wallets that ever voted, on chain or by ballot."""
    voters = select(voting.ballots.c.wallet).union(select(market.chain_votes.c.wallet))
    return conn.execute(select(func.count()).select_from(voters.subquery())).scalar_one()


def counts_of_wallet(conn: Connection, wallet: bytes) -> dict[str, int]:
    """Return how often the wallet voted, by kind (always both kinds)."""
    rows = conn.execute(
        select(_votes.c.kind, func.count(func.distinct(_votes.c.market_id)))
        .where(_votes.c.wallet == literal(wallet))
        .group_by(_votes.c.kind)
    )
    return {"proposal": 0, "dispute": 0} | {row[0]: row[1] for row in rows}


def first_activity_at(conn: Connection, wallet: bytes) -> int | None:
    """Return the chain second of the wallet's first trade, on-chain vote or market creation.

    None for a wallet without any.
    """
    seen = (
        select(func.min(market.positions.c.first_trade_at).label("at"))
        .where(market.positions.c.user == wallet)
        .union_all(
            select(func.min(market.chain_votes.c.voted_at)).where(
                market.chain_votes.c.wallet == wallet
            ),
            select(func.min(market.markets.c.created_at)).where(market.markets.c.creator == wallet),
        )
        .subquery()
    )
    found: int | None = conn.execute(select(func.min(seen.c.at))).scalar_one()
    return found
