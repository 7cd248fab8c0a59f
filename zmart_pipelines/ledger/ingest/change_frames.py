"""The frames that announce a change of the projection to clients."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.ledger.ingest.projector import MarketChange
from zmart_pipelines.ledger.model.projection import VoteRow
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.store import stream_frames
from zmart_pipelines.store.queries import votes
from zmart_pipelines.store.queries.votes import VoteCounts
from zmart_pipelines.store.stream import Frame

_LAST_SECOND = 253_402_300_799  # of the year 9999, the calendar's end


# Vote counts by market id and kind.
Counts = Mapping[tuple[bytes, str], VoteCounts]


def changed_votes(changes: Iterable[MarketChange]) -> list[tuple[bytes, str]]:
    """Return the votes, as market id and kind, whose counts the frames contain."""
    return sorted(
        {(row.market_id, row.kind) for market in changes for row in market.new.votes.values()}
    )


def load_counts_and_build_frames(
    conn: Connection,
    changes: Collection[MarketChange],
    orphaned: Collection[bytes],
    corrected: Collection[bytes],
    commitment: Commitment,
) -> Iterator[Frame]:
    """Build the frames of changed markets, with the vote counts as they are now."""
    counts = {key: votes.counts(conn, *key) for key in changed_votes(changes)}
    return build_frames(changes, counts, commitment, orphaned=orphaned, corrected=corrected)


def build_frames(
    changes: Iterable[MarketChange],
    counts: Counts,
    commitment: Commitment,
    *,
    orphaned: Collection[bytes] = (),
    corrected: Collection[bytes] = (),
) -> Iterator[Frame]:
    """Build the frames of changed markets: trades and votes in order, then the market.

    Args:
        counts: counts of the votes that ``changed_votes`` returns.
        commitment: commitment of the new events.
        orphaned: signatures of orphaned transactions.
        corrected: the markets that the orphaned transactions concerned.
    """
    for market in changes:
        trades = sorted(
            market.new.trades, key=lambda row: (row.slot, row.index_in_block, row.log_index)
        )
        for row in trades:
            yield stream_frames.trade(msgspec.structs.asdict(row), commitment=commitment)
        yield from _vote_frames(market.new.votes.values(), counts)
        yield from _market_frames(market, orphaned if market.market_id in corrected else ())


def _vote_frames(rows: Iterable[VoteRow], counts: Counts) -> list[Frame]:
    rows = sorted(rows, key=lambda row: (row.voted_at, row.wallet))
    return [
        stream_frames.vote(
            market_id=row.market_id,
            kind=row.kind,
            wallet=row.wallet,
            choice=row.choice,
            voted_at=datetime.fromtimestamp(min(max(row.voted_at, 0), _LAST_SECOND), UTC),
            votes_for=counts[row.market_id, row.kind].votes_for,
            votes_against=counts[row.market_id, row.kind].votes_against,
            source="chain",
        )
        for row in rows
    ]


def _market_frames(market: MarketChange, orphaned: Collection[bytes]) -> list[Frame]:
    shown = market.after or market.before
    if shown is None:
        return []
    action: Literal["created", "updated", "deleted"] = "updated"
    if market.after is None:
        action = "deleted"
    elif market.before is None:
        action = "created"
    return stream_frames.market_state(
        {**msgspec.structs.asdict(shown), "commitment": market.commitment.value},
        action=action,
        old_state=market.before.state if market.before is not None else None,
        orphaned=sorted(orphaned),
    )
