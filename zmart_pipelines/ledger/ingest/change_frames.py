"""What live clients are told about a change of the projection."""

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


Counts = Mapping[tuple[bytes, str], VoteCounts]


def changed_votes(folded: Iterable[MarketChange]) -> list[tuple[bytes, str]]:
    """The votes, as market and kind, whose counts the frames tell."""
    return sorted({(row.market_id, row.kind) for one in folded for row in one.new.votes.values()})


def load_counts_and_build_frames(
    conn: Connection,
    folded: Collection[MarketChange],
    orphaned: Collection[bytes],
    corrected: Collection[bytes],
    commitment: Commitment,
) -> Iterator[Frame]:
    """The frames for markets that were folded, with the votes' counts as they are now."""
    counts = {key: votes.counts(conn, *key) for key in changed_votes(folded)}
    return build_frames(folded, counts, commitment, orphaned=orphaned, corrected=corrected)


def build_frames(
    folded: Iterable[MarketChange],
    counts: Counts,
    commitment: Commitment,
    *,
    orphaned: Collection[bytes] = (),
    corrected: Collection[bytes] = (),
) -> Iterator[Frame]:
    """The frames for markets that were folded: trades and votes in order, then the market.

    :param counts: of the votes that ``voted`` names.
    :param commitment: of the new events.
    :param orphaned: signatures of transactions that count no more; ``corrected`` are the
        markets they concerned.
    """
    for one in folded:
        trades = sorted(
            one.new.trades, key=lambda row: (row.slot, row.index_in_block, row.log_index)
        )
        for row in trades:
            yield stream_frames.trade(msgspec.structs.asdict(row), commitment=commitment)
        yield from _vote_frames(one.new.votes.values(), counts)
        yield from _market_frames(one, orphaned if one.market_id in corrected else ())


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


def _market_frames(one: MarketChange, orphaned: Collection[bytes]) -> list[Frame]:
    shown = one.after or one.before
    if shown is None:
        return []
    action: Literal["created", "updated", "deleted"] = "updated"
    if one.after is None:
        action = "deleted"
    elif one.before is None:
        action = "created"
    return stream_frames.market_state(
        {**msgspec.structs.asdict(shown), "commitment": one.commitment.value},
        action=action,
        old_state=one.before.state if one.before is not None else None,
        orphaned=sorted(orphaned),
    )
