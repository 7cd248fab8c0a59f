"""Build the live stream's frames for changes of the projection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, Literal

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.client_schemas.formats import clamped_chain_time
from zmart_pipelines.client_schemas.frames import market_state_frames, trade_frames, vote_frame
from zmart_pipelines.ledger.ingest import wallet_frames
from zmart_pipelines.ledger.ingest.projector import MarketChange
from zmart_pipelines.ledger.model.projection import MarketRow, VoteRow
from zmart_pipelines.ledger.model.provenance import Commitment
from zmart_pipelines.store.queries import votes
from zmart_pipelines.store.queries.markets import ProjectedMarket
from zmart_pipelines.store.queries.open_votes import OPEN_VOTES
from zmart_pipelines.store.queries.trades import Trade
from zmart_pipelines.store.queries.votes import VoteCounts, running_counts
from zmart_pipelines.store.stream import Frame

Counts = Mapping[tuple[bytes, str], VoteCounts]
"""The counts of votes by market and kind."""

_COPIED: Final = tuple(name for name in ProjectedMarket.__struct_fields__ if name != "commitment")


def changed_votes(changes: Iterable[MarketChange]) -> list[tuple[bytes, str]]:
    """Return the votes, as market and kind, whose counts the frames of ``changes`` contain."""
    return sorted({vote for change in changes for vote in _votes_of(change)})


def _votes_of(change: MarketChange) -> Iterator[tuple[bytes, str]]:
    for row in change.new.votes.values():
        yield row.market_id, row.kind
    kind = _open_vote(change.after or change.before)
    if kind is not None:
        yield change.market_id, kind


def _open_vote(market: MarketRow | None) -> str | None:
    return None if market is None else OPEN_VOTES.get(market.state)


def load_counts_and_build_frames(
    conn: Connection,
    changes: Collection[MarketChange],
    orphaned: Collection[bytes],
    corrected: Collection[bytes],
    commitment: Commitment,
) -> Iterator[Frame]:
    """Return the frames of ``changes``, with votes' counts and positions as they are now."""
    counts = {key: votes.counts(conn, *key) for key in changed_votes(changes)}
    holdings = wallet_frames.load(conn, changes)
    return build_frames(
        changes, counts, holdings, commitment, orphaned=orphaned, corrected=corrected
    )


def build_frames(
    changes: Iterable[MarketChange],
    counts: Counts,
    holdings: wallet_frames.Holdings,
    commitment: Commitment,
    *,
    orphaned: Collection[bytes] = (),
    corrected: Collection[bytes] = (),
) -> Iterator[Frame]:
    """Yield the frames of ``changes``: trades and votes in order, the market, its wallets.

    Args:
        changes: What folding changed, market by market.
        counts: Of the votes that ``changed_votes`` names.
        holdings: Of the wallets that ``changes`` concern.
        commitment: Of the new events.
        orphaned: Signatures of transactions that no longer count.
        corrected: The markets that the orphaned transactions concerned.
    """
    for change in changes:
        trades = sorted(
            change.new.trades, key=lambda row: (row.slot, row.index_in_block, row.log_index)
        )
        for row in trades:
            yield from trade_frames(
                Trade(**msgspec.structs.asdict(row), commitment=commitment.value)
            )
        yield from _vote_frames(change.new.votes.values(), counts)
        kind = _open_vote(change.after or change.before)
        void = orphaned if change.market_id in corrected else ()
        yield from _market_frames(
            change, void, None if kind is None else counts[change.market_id, kind]
        )
        yield from wallet_frames.build(change, holdings, commitment, void)


def _vote_frames(rows: Iterable[VoteRow], counts: Counts) -> Iterator[Frame]:
    for row in sorted(rows, key=lambda row: (row.voted_at, row.wallet)):
        count = counts[row.market_id, row.kind]
        yield vote_frame(
            market_id=row.market_id,
            kind=row.kind,
            round_=count.round,
            wallet=row.wallet,
            choice=row.choice,
            signature=row.signature,
            voted_at=clamped_chain_time(row.voted_at),
            votes_for=count.votes_for,
            votes_against=count.votes_against,
            source="chain",
        )


def _market_frames(
    change: MarketChange, orphaned: Collection[bytes], open_vote: VoteCounts | None
) -> list[Frame]:
    shown = change.after or change.before
    if shown is None:
        return []
    action: Literal["created", "updated", "deleted"] = "updated"
    if change.after is None:
        action = "deleted"
    elif change.before is None:
        action = "created"
    fields = {name: getattr(shown, name) for name in _COPIED}
    if open_vote is not None:
        fields |= running_counts(open_vote)
    return market_state_frames(
        ProjectedMarket(**fields, commitment=change.commitment.value),
        action=action,
        old_state=change.before.state if change.before is not None else None,
        orphaned=orphaned,
    )
