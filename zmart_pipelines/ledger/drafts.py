"""Joining a market on chain with the draft that gave it its question."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, update

from zmart_pipelines.ledger.projection import Folded
from zmart_pipelines.store.tables import community, market

_drafts = community.market_drafts
_markets = market.markets


def match(conn: Connection, folded: Iterable[Folded]) -> None:
    """Join drafts with markets that appeared; release those of markets that vanished.

    A draft speaks for a market of the same id whose creator and question hash are its own.
    """
    appeared, vanished = [], []
    for one in folded:
        if one.before is None and one.after is not None:
            appeared.append(one.market_id)
        elif one.before is not None and one.after is None:
            vanished.append(one.market_id)
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
