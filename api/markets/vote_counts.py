"""The counts of a market's votes, as clients read them."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.client_schemas.formats import ExactIntegers, LargeInt
from zmart_pipelines.store.queries import votes
from zmart_pipelines.voting.ballot import Kind


class VoteCount(ExactIntegers, frozen=True, kw_only=True):
    """The counts of one kind of vote in its latest round, by weight.

    `agrees` and `disagrees` equal `likes` and `dislikes`: each kind of client reads its own
    words. `status` is null before the first vote.
    """

    likes: LargeInt
    dislikes: LargeInt
    agrees: LargeInt
    disagrees: LargeInt
    total: LargeInt
    round: int
    status: str | None


class MarketVoteCounts(msgspec.Struct, frozen=True):
    """The counts of both kinds of vote."""

    market_id: str
    proposal_votes: VoteCount
    dispute_votes: VoteCount


def vote_count(votes_for: int, votes_against: int, round_: int, status: str | None) -> VoteCount:
    """Return the counts as clients read them."""
    return VoteCount(
        likes=votes_for,
        dislikes=votes_against,
        agrees=votes_for,
        disagrees=votes_against,
        total=votes_for + votes_against,
        round=round_,
        status=status,
    )


def load_vote_count(conn: Connection, market_id: bytes, kind: Kind) -> VoteCount:
    """Count the votes of this market and kind now."""
    row = votes.counts(conn, market_id, kind)
    return vote_count(row.votes_for, row.votes_against, row.round, row.status)


def load_vote_counts(conn: Connection, market_id: bytes) -> MarketVoteCounts:
    """Count the votes of this market now."""
    return MarketVoteCounts(
        market_id.hex(),
        load_vote_count(conn, market_id, "proposal"),
        load_vote_count(conn, market_id, "dispute"),
    )
