"""Joining a market on chain with the draft that gave it its question."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, update

from zmart_pipelines.store.tables import community, market

_drafts = community.market_drafts
_markets = market.markets


def match(
    conn: Connection, *, appeared: Collection[bytes] = (), vanished: Collection[bytes] = ()
) -> None:
    """Join drafts with markets that appeared; release those of markets that vanished.

    A draft speaks for a market of the same id whose creator and question hash are its own.
    """
    if appeared:
        conn.execute(
            update(_drafts)
            .where(
                _drafts.c.market_id.in_(appeared),
                _drafts.c.matched_at.is_(None),
                _markets.c.market_id == _drafts.c.market_id,
                _markets.c.creator == _drafts.c.creator,
                _markets.c.question_hash == _drafts.c.question_hash,
            )
            .values(matched_at=func.now())
        )
    if vanished:
        conn.execute(
            update(_drafts).where(_drafts.c.market_id.in_(vanished)).values(matched_at=None)
        )
