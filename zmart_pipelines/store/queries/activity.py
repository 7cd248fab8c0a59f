"""Recent activity over all markets."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
)

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
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


def _in_order(at: ColumnElement[int], type_: ColumnElement[str], id_: ColumnElement[str]) -> Order:
    columns = (("at", at), ("type", type_), ("id", id_))
    return Order("activity", tuple(KeyColumn(name, one, descending=True) for name, one in columns))


# The order of the feed: newest first; within a second by type and id. Its elements only give types.
ORDER: Final = _in_order(
    _markets.c.created_at, literal_column("''", Text), literal_column("''", Text)
)


def _trades_of(only: Restriction) -> Select[*tuple[Any, ...]]:
    return select(
        (func.encode(_trades.c.signature, "hex") + "-" + cast(_trades.c.log_index, Text)).label(
            "id"
        ),
        cast(literal("trade"), Text).label("type"),
        _trades.c.user.label("user"),
        _trades.c.market_id,
        _trades.c.traded_at.label("at"),
        _trades.c.trade_type,
        _trades.c.outcome,
        _trades.c.cost.label("amount"),
    ).where(*_where(only, _trades.c.market_id, _trades.c.user))


def _creations_of(only: Restriction) -> Select[*tuple[Any, ...]]:
    return select(
        func.encode(_markets.c.market_id, "hex").label("id"),
        cast(literal("creation"), Text).label("type"),
        _markets.c.creator.label("user"),
        _markets.c.market_id,
        _markets.c.created_at.label("at"),
        null().label("trade_type"),
        null().label("outcome"),
        null().label("amount"),
    ).where(*_where(only, _markets.c.market_id, _markets.c.creator))


def _resolutions_of(only: Restriction) -> Select[*tuple[Any, ...]]:
    return select(
        func.encode(_markets.c.market_id, "hex").label("id"),
        cast(literal("resolution"), Text).label("type"),
        _markets.c.resolver.label("user"),
        _markets.c.market_id,
        _markets.c.resolution_proposed_at.label("at"),
        null().label("trade_type"),
        _markets.c.proposed_outcome.label("outcome"),
        null().label("amount"),
    ).where(
        _markets.c.resolver.isnot(None),
        *_where(only, _markets.c.market_id, _markets.c.resolver),
    )


_ROWS = {"trade": _trades_of, "creation": _creations_of, "resolution": _resolutions_of}


def _page(rows: Select[*tuple[Any, ...]], limit: int, after: Key | None) -> Select[Any]:
    """Return a page of the rows with the questions of their markets."""
    found = rows.subquery("found")
    order = _in_order(found.c.at, found.c.type, found.c.id)
    page = order.page(select(found), after=after, limit=limit).subquery("page")
    return select(page, QUESTION.label("question")).select_from(
        page.join(_markets, _markets.c.market_id == page.c.market_id).outerjoin(_drafts, MATCHED)
    )


def latest_activity(
    conn: Connection,
    *,
    type_: ActivityType | None = None,
    only: Restriction | None = None,
    after: Key | None = None,
    limit: int = 20,
) -> list[Activity]:
    """Return the latest trades, creations and resolutions in ``ORDER``.

    Args:
        after: Key of the last one of the page before.
    """
    kinds = [type_] if type_ is not None else list(_ROWS)
    where = only or Restriction()
    found = [
        item
        for kind in kinds
        for item in many(Activity, conn.execute(_page(_ROWS[kind](where), limit, after)))
    ]
    return sorted(found, key=ORDER.key_of, reverse=True)[:limit]
