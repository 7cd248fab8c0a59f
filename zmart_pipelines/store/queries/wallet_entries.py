"""The trades of wallets as entries of their accounts, in the chain's order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Select, func, select

from zmart_pipelines.program.wallet_entry import Entry
from zmart_pipelines.store.binary_arrays import keys
from zmart_pipelines.store.statement_pipeline import Statement
from zmart_pipelines.store.tables.market import trades
from zmart_pipelines.store.tables.statistics import HOUR

_trades = trades.c

Entries: TypeAlias = defaultdict[tuple[bytes, bytes], list[Entry]]
"""The entries of holders, by market id and wallet, in the chain's order."""

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


def entries_of_markets(conn: Connection, market_ids: Collection[bytes]) -> Entries:
    """Return every trade of these markets."""
    return entries_from_rows(conn.execute(_single().where(_trades.market_id.in_(market_ids))))


_OF_HOLDERS: Final = """
SELECT t.market_id, t."user", t.traded_at, t.trade_type = 'buy', t.outcome, t.shares, t.cost
FROM unnest(%b::bytea[], %b::bytea[]) AS requested (market_id, "user")
JOIN market.trades AS t USING (market_id, "user")
ORDER BY t.slot, t.index_in_block, t.signature, t.log_index
"""


def holders_statement(holders: Collection[tuple[bytes, bytes]]) -> Statement:
    """Build the statement whose rows ``entries_from_rows`` reads: every trade of these holders.

    Args:
        holders: Pairs of market id and wallet.
    """
    pairs = list(holders)
    return Statement(
        _OF_HOLDERS, (keys([pair[0] for pair in pairs]), keys([pair[1] for pair in pairs]))
    )


def entries_from_rows(rows: Iterable[Sequence[Any]]) -> Entries:
    """Read trades that are in the chain's order."""
    found: Entries = defaultdict(list)
    for market_id, user, at, buys, outcome, shares, cost in rows:
        found[market_id, user].append(Entry(at, buys, outcome, int(shares), int(cost)))
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
    if not market_ids:
        return found
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
