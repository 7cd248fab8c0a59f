"""Recent activity over all markets."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, Text, cast, func, literal, null, select

from zmart_pipelines.store.queries.markets import MATCHED, QUESTION
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import community, market
from zmart_pipelines.store.tables.listings import listings as _listings

_markets = market.markets
_trades = market.trades
_drafts = community.market_drafts

ActivityType = Literal["trade", "resolution", "creation"]


class Activity(msgspec.Struct, frozen=True):
    """One trade, resolution or creation.

    Attributes:
        id: Hex of the market, or of the transaction and ``-`` log index; unique in its type.
        at: Chain seconds.
        trade_type: 'buy' or 'sell' of a trade; ``amount`` its lamports.
        outcome: Of a trade its side, of a resolution the proposed one.
    """

    id: str
    type: str
    user: bytes
    market_id: bytes
    question: str
    at: int
    trade_type: str | None
    outcome: bool | None
    amount: int | None


class Restriction(msgspec.Struct, frozen=True):
    """What the activity is restricted to.

    Attributes:
        wallet: Who traded, created or proposed the outcome.
    """

    market_id: bytes | None = None
    wallet: bytes | None = None
    category: str | None = None


def _where(
    only: Restriction, market_id: ColumnElement[bytes], user: ColumnElement[Any]
) -> list[ColumnElement[bool]]:
    where = []
    if only.market_id is not None:
        where.append(market_id == only.market_id)
    if only.wallet is not None:
        where.append(user == only.wallet)
    if only.category is not None:
        of_category = select(_listings.c.market_id).where(_listings.c.category == only.category)
        where.append(market_id.in_(of_category))
    return where


def _trade_rows(limit: int, only: Restriction) -> Select[*tuple[Any, ...]]:
    latest = (
        select(_trades)
        .where(*_where(only, _trades.c.market_id, _trades.c.user))
        .order_by(
            _trades.c.slot.desc(), _trades.c.index_in_block.desc(), _trades.c.log_index.desc()
        )
        .limit(limit)
        .subquery()
    )
    return select(
        (func.encode(latest.c.signature, "hex") + "-" + cast(latest.c.log_index, Text)).label("id"),
        literal("trade").label("type"),
        latest.c.user.label("user"),
        latest.c.market_id,
        QUESTION.label("question"),
        latest.c.traded_at.label("at"),
        latest.c.trade_type,
        latest.c.outcome,
        latest.c.cost.label("amount"),
    ).select_from(
        latest.join(_markets, _markets.c.market_id == latest.c.market_id).outerjoin(
            _drafts, MATCHED
        )
    )


def _creation_rows(limit: int, only: Restriction) -> Select[*tuple[Any, ...]]:
    return (
        select(
            func.encode(_markets.c.market_id, "hex").label("id"),
            literal("creation").label("type"),
            _markets.c.creator.label("user"),
            _markets.c.market_id,
            QUESTION.label("question"),
            _markets.c.created_at.label("at"),
            null().label("trade_type"),
            null().label("outcome"),
            null().label("amount"),
        )
        .select_from(_markets.outerjoin(_drafts, MATCHED))
        .where(*_where(only, _markets.c.market_id, _markets.c.creator))
        .order_by(_markets.c.created_at.desc(), _markets.c.market_id)
        .limit(limit)
    )


def _resolution_rows(limit: int, only: Restriction) -> Select[*tuple[Any, ...]]:
    return (
        select(
            func.encode(_markets.c.market_id, "hex").label("id"),
            literal("resolution").label("type"),
            _markets.c.resolver.label("user"),
            _markets.c.market_id,
            QUESTION.label("question"),
            _markets.c.resolution_proposed_at.label("at"),
            null().label("trade_type"),
            _markets.c.proposed_outcome.label("outcome"),
            null().label("amount"),
        )
        .select_from(_markets.outerjoin(_drafts, MATCHED))
        .where(
            _markets.c.resolver.isnot(None),
            *_where(only, _markets.c.market_id, _markets.c.resolver),
        )
        .order_by(_markets.c.resolution_proposed_at.desc(), _markets.c.market_id)
        .limit(limit)
    )


_ROWS = {"trade": _trade_rows, "creation": _creation_rows, "resolution": _resolution_rows}


def latest_activity(
    conn: Connection,
    *,
    type_: ActivityType | None = None,
    only: Restriction | None = None,
    limit: int = 20,
) -> list[Activity]:
    """Return the latest trades, creations and resolutions by chain time, newest first."""
    kinds = [type_] if type_ is not None else list(_ROWS)
    where = only or Restriction()
    found = [
        item for kind in kinds for item in many(Activity, conn.execute(_ROWS[kind](limit, where)))
    ]
    return sorted(found, key=lambda item: (-item.at, item.type, item.id))[:limit]
