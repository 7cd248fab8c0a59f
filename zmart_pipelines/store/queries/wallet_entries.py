"""The trades of wallets as entries of their accounts, in the chain's order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, func, select

from zmart_pipelines.program.wallet_entry import Entry
from zmart_pipelines.store.tables.market import trades
from zmart_pipelines.store.tables.statistics import HOUR

_trades = trades.c


_ORDER = (_trades.slot, _trades.index_in_block, _trades.signature, _trades.log_index)


def _single() -> Select[Any]:
    return select(
        _trades.market_id,
        _trades.user,
        _trades.traded_at,
        (_trades.trade_type == "buy").label("buys"),
        _trades.outcome,
        _trades.shares,
        _trades.cost,
    ).order_by(*_ORDER)


def entries_of_markets(
    conn: Connection, market_ids: Collection[bytes]
) -> defaultdict[tuple[bytes, bytes], list[Entry]]:
    """Return every trade of these markets, by market and wallet."""
    found: defaultdict[tuple[bytes, bytes], list[Entry]] = defaultdict(list)
    for market_id, user, *entry in conn.execute(_single().where(_trades.market_id.in_(market_ids))):
        found[market_id, user].append(Entry(*entry))
    return found


def entries_of_wallet(
    conn: Connection,
    wallet: bytes,
    market_ids: Collection[bytes],
    *,
    until_slot: int | None = None,
) -> defaultdict[bytes, list[Entry]]:
    """Return what a wallet did in these markets, by market.

    Where it sold, every trade is an entry, because their order decides what a sale realised;
    where it only bought, an hour's buys of one side are one.

    Args:
        until_slot: The last slot, inclusive; None: all.
    """
    found: defaultdict[bytes, list[Entry]] = defaultdict(list)
    mine = (_trades.user == wallet) & _trades.market_id.in_(market_ids)
    if until_slot is not None:
        mine &= _trades.slot <= until_slot
    sold = set(
        conn.scalars(select(_trades.market_id).where(mine, _trades.trade_type == "sell").distinct())
    )
    for market_id, _user, *entry in conn.execute(
        _single().where(mine, _trades.market_id.in_(sold))
    ):
        found[market_id].append(Entry(*entry))
    starts_at = (_trades.traded_at // HOUR * HOUR).label("starts_at")
    bought = (
        select(
            _trades.market_id,
            starts_at,
            _trades.outcome,
            func.sum(_trades.shares),
            func.sum(_trades.cost),
            func.count(),
        )
        .where(mine, _trades.market_id.not_in(sold))
        .group_by(_trades.market_id, starts_at, _trades.outcome)
        .order_by(starts_at)
    )
    for market_id, hour, outcome, shares, cost, number in conn.execute(bought):
        found[market_id].append(Entry(hour, True, outcome, int(shares), int(cost), number))
    return found
