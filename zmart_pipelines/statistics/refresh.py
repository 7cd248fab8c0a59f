"""Refresh the statistics tables from the trades and positions.

A market is due when its row says that it changed, whatever the change was: new trades,
orphaned ones, a rebuild. All of its rows are then recomputed and only those that differ
are written, so nothing has to track what was corrected, and a repeated refresh changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import pandas as pd
from sqlalchemy import Connection, Engine, Table, select

from zmart_pipelines.statistics import frames
from zmart_pipelines.statistics.candles import candles
from zmart_pipelines.statistics.markets import market_statistics
from zmart_pipelines.statistics.wallet_reads import result_of
from zmart_pipelines.statistics.wallets import WalletResult
from zmart_pipelines.store.bulk_statements import delete_rows, upsert_rows
from zmart_pipelines.store.locks import STATISTICS, lock, lock_markets
from zmart_pipelines.store.queries import leaderboards, pool_history, positions
from zmart_pipelines.store.queries.candles import StaleMarket, markets_to_refresh
from zmart_pipelines.store.queries.markets import chain_now
from zmart_pipelines.store.queries.wallet_entries import entries_of_markets
from zmart_pipelines.store.tables import statistics as tables
from zmart_pipelines.store.tables.market import markets, trades

Row: TypeAlias = dict[str, Any]

# Trades and markets held in memory at a time; a market with more trades is read alone.
CHUNK_TRADES: Final = 100_000
CHUNK_MARKETS: Final = 500

_TRADE_COLUMNS = [
    (trades.c.trade_type == "buy").label(name) if name == "buys" else trades.c[name]
    for name in frames.TRADES
]


class MarketVersion(NamedTuple):
    """When a market last changed, and when it was last folded from its first event."""

    updated_at: datetime
    refolded_at: datetime


class RefreshReport(msgspec.Struct, frozen=True):
    """Markets and trades read by a refresh, and rows written or deleted by table."""

    markets: int
    trades: int
    candles: int
    market_statistics: int
    pool_history: int
    wallet_statistics: int
    wallet_hours: int
    leaderboard_entries: int = 0


NOTHING: Final = RefreshReport(0, 0, 0, 0, 0, 0, 0)


def refresh(engine: Engine, *, now: int | None = None, everything: bool = False) -> RefreshReport:
    """Recompute the statistics of every market that is due.

    Each chunk is read in one snapshot and written in one transaction, which holds only what
    differs. A market that changes between the two stays due. Concurrent refreshes wait for each
    other.

    Args:
        engine: Of a role that may read trades and write the statistics.
        now: Chain seconds, the end of the 24 hours; default ``chain_now``.
        everything: Recompute all markets, which repairs damaged tables.
    """
    with engine.connect() as conn:
        moment = chain_now(conn) if now is None else now
        wanted = markets_to_refresh(conn, None if everything else moment)
    reports = [NOTHING, *(_refresh(engine, chunk, moment) for chunk in _chunks(wanted))]
    report = RefreshReport(*map(sum, zip(*map(msgspec.structs.astuple, reports), strict=True)))
    return msgspec.structs.replace(
        report, leaderboard_entries=_refresh_leaderboards(engine, moment, everything)
    )


def _refresh_leaderboards(engine: Engine, now: int, everything: bool) -> int:
    """Add up what is due, and return the rows written."""
    with engine.begin() as conn:
        lock(conn, STATISTICS)
        if not everything and not leaderboards.are_due(conn, now):
            return 0
        return leaderboards.refresh_leaderboards(conn, now, everything=everything)


def _chunks(wanted: Sequence[StaleMarket]) -> Iterator[list[StaleMarket]]:
    chunk: list[StaleMarket] = []
    size = 0
    for one in wanted:
        if chunk and (size + one.trades_count > CHUNK_TRADES or len(chunk) == CHUNK_MARKETS):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += one.trades_count
    if chunk:
        yield chunk


def _refresh(engine: Engine, chunk: Sequence[StaleMarket], now: int) -> RefreshReport:
    wanted = [one.market_id for one in chunk]
    with engine.begin() as guard:
        lock(guard, STATISTICS)
        with engine.connect() as conn:
            snapshot = conn.execution_options(isolation_level="REPEATABLE READ")
            versions = _versions(snapshot, wanted)
            traded = _trades(snapshot, wanted)
            made = _rows(versions, traded, now) | _wallet_rows(snapshot, wanted)
            changes = {
                table: _changes(snapshot, table, wanted, rows) for table, rows in made.items()
            }
        with engine.begin() as conn:
            # The ledger waits for this lock too, so all else was done before. Under it no
            # market can vanish from under its rows.
            lock_markets(conn, [one.address for one in chunk])
            there = _versions(conn, wanted)
            for table, (gone, new) in changes.items():
                delete_rows(conn, table, gone)
                upsert_rows(conn, table, [row for row in new if row["market_id"] in there])
    written = {table.name: len(gone) + len(new) for table, (gone, new) in changes.items()}
    return RefreshReport(len(versions), len(traded), **written)


def _rows(
    versions: Mapping[bytes, MarketVersion], traded: pd.DataFrame, now: int
) -> dict[Table, list[Row]]:
    """Return the rows of markets that the tables must hold for these."""
    figures = market_statistics(list(versions), traded, now)
    for name in MarketVersion._fields:
        moments = [getattr(version, name) for version in versions.values()]
        figures[f"market_{name}"] = pd.Series(moments, dtype=object)
    return {
        tables.candles: [
            {"interval": name, **row}
            for name, seconds in tables.INTERVALS.items()
            for row in frames.records(candles(traded, seconds))
        ],
        tables.market_statistics: frames.records(figures),
    }


def _wallet_rows(conn: Connection, market_ids: Sequence[bytes]) -> dict[Table, list[Row]]:
    """Return the rows of pools and wallets that the tables must hold for these markets."""
    pools = pool_history.replayed_hours(conn, market_ids)
    entries = entries_of_markets(conn, market_ids)
    results: list[WalletResult] = [
        result_of(held, entries[held.market_id, held.user], pools[held.market_id])
        for held in positions.positions_of_markets(conn, market_ids)
    ]
    return {
        tables.pool_history: [
            {"market_id": market_id, "starts_at": starts_at, **msgspec.structs.asdict(pool)}
            for market_id, hours in pools.items()
            for starts_at, pool in hours
        ],
        tables.wallet_statistics: [result.statistics for result in results],
        tables.wallet_hours: [hour for result in results for hour in result.hours],
    }


def _changes(
    conn: Connection, table: Table, market_ids: Sequence[bytes], rows: Sequence[Row]
) -> tuple[list[tuple[Any, ...]], list[Row]]:
    """Return the keys of rows to delete, and the rows to insert or update."""
    key = [column.name for column in table.primary_key]
    stored = conn.execute(select(table).where(table.c.market_id.in_(market_ids))).mappings()
    there = {tuple(row[name] for name in key): dict(row) for row in stored}
    wanted = {tuple(row[name] for name in key): row for row in rows}
    gone = [one for one in there if one not in wanted]
    return gone, [row for one, row in wanted.items() if there.get(one) != row]


def _versions(conn: Connection, market_ids: Sequence[bytes]) -> dict[bytes, MarketVersion]:
    """Return when each of these markets last changed; deleted ones are absent."""
    statement = select(markets.c.market_id, markets.c.updated_at, markets.c.refolded_at)
    found = conn.execute(statement.where(markets.c.market_id.in_(market_ids)))
    return {row.market_id: MarketVersion(row.updated_at, row.refolded_at) for row in found}


def _trades(conn: Connection, market_ids: Sequence[bytes]) -> pd.DataFrame:
    statement = select(*_TRADE_COLUMNS).where(trades.c.market_id.in_(market_ids))
    return frames.trades(conn.execute(statement))
