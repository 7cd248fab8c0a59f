"""Leaderboards: adding them up from the wallets' hours, and their pages with ranks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from zmart_pipelines.store.queries.candles import STALE
from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.leaderboards import (
    PERIODS,
    leaderboard_entries,
    leaderboard_queue,
    leaderboards,
)
from zmart_pipelines.store.tables.market import markets, trades
from zmart_pipelines.store.tables.statistics import (
    HOUR,
    market_statistics,
    wallet_hours,
    wallet_statistics,
)

By: TypeAlias = Literal["volume", "profit", "resolved_right"]
Period: TypeAlias = Literal["day", "week", "all"]

# Wallets are counted up to here.
COUNT_LIMIT: Final = 1_000

_entries = leaderboard_entries.c
_SUMS: Final[dict[str, ColumnElement[Any]]] = {
    "trades": wallet_hours.c.trades,
    "volume": wallet_hours.c.volume,
    "profit": wallet_hours.c.realised_pnl,
    "resolved": wallet_hours.c.resolved,
    "resolved_right": wallet_hours.c.resolved_right,
}


def window_start(period: str, now: int) -> int:
    """Return the first chain second of a period's window that ends with ``now``: a full hour."""
    length = PERIODS[period]
    return 0 if length is None else max(now - length, 0) // HOUR * HOUR


class Leaderboard(msgspec.Struct, frozen=True):
    """A leaderboard's window, as it was added up; chain seconds.

    The entries stay right until ``valid_until`` (None: indefinitely), when an hour leaves the
    window, unless a market changes.
    """

    period: str
    starts_at: int
    as_of: int
    valid_until: int | None


def leaderboard(conn: Connection, period: Period) -> Leaderboard | None:
    """Return a leaderboard's window; None before it was first added up."""
    row = conn.execute(select(leaderboards).where(leaderboards.c.period == period)).one_or_none()
    return None if row is None else one(Leaderboard, row)


def are_due(conn: Connection, now: int) -> bool:
    """Whether wallets are enqueued, or hours have left a window."""
    queued = select(literal(1)).select_from(leaderboard_queue).limit(1)
    moved = select(literal(1)).where(leaderboards.c.valid_until <= now).limit(1)
    return any(conn.execute(one_row).first() is not None for one_row in (queued, moved))


def refresh_leaderboards(conn: Connection, now: int, *, everything: bool = False) -> int:
    """Add up the enqueued wallets and those whose hours left a window; return the rows written.

    One transaction does this at a time (``locks.STATISTICS``).

    Args:
        conn: Of a role that may write the leaderboards.
        now: Chain seconds, the end of the windows.
        everything: All wallets, which repairs damaged entries.
    """
    queued = conn.scalars(delete(leaderboard_queue).returning(leaderboard_queue.c.wallet))
    changed = set(queued)
    return sum(
        _refresh_period(conn, period, now, None if everything else changed) for period in PERIODS
    )


def _refresh_period(conn: Connection, period: str, now: int, changed: set[bytes] | None) -> int:
    start = window_start(period, now)
    before = conn.scalars(
        select(leaderboards.c.starts_at).where(leaderboards.c.period == period)
    ).one_or_none()
    wanted = None if before is None or changed is None else changed | _left(conn, before, start)
    length = PERIODS[period]
    oldest: int | None = conn.scalars(
        select(func.min(wallet_hours.c.starts_at)).where(wallet_hours.c.starts_at >= start)
    ).one()
    row = {
        "period": period,
        "starts_at": start,
        "as_of": now,
        "valid_until": None if length is None or oldest is None else oldest + HOUR + length,
    }
    conn.execute(
        insert(leaderboards)
        .values(row)
        .on_conflict_do_update(index_elements=[leaderboards.c.period], set_=row)
    )
    if wanted is not None and not wanted:
        return 0
    return _write(conn, period, start, wanted)


def _left(conn: Connection, before: int, start: int) -> set[bytes]:
    """Return the wallets that have hours between two starts of a window."""
    low, high = sorted((before, start))
    hours = wallet_hours.c.starts_at
    return set(
        conn.scalars(select(wallet_hours.c.wallet).where(hours >= low, hours < high).distinct())
    )


def _write(conn: Connection, period: str, start: int, wanted: set[bytes] | None) -> int:
    """Write the sums of these wallets (None: all) where they differ, and delete those without."""
    sums = (
        select(
            wallet_hours.c.wallet,
            *(func.sum(column).label(name) for name, column in _SUMS.items()),
        )
        .where(wallet_hours.c.starts_at >= start)
        .group_by(wallet_hours.c.wallet)
    )
    gone = delete(leaderboard_entries).where(_entries.period == period)
    if wanted is not None:
        given = func.unnest(literal(sorted(wanted), ARRAY(LargeBinary)))
        sums = sums.where(wallet_hours.c.wallet.in_(select(given)))
        gone = gone.where(_entries.wallet.in_(select(given)))
    present = (
        select(wallet_hours.c.wallet)
        .where(wallet_hours.c.wallet == _entries.wallet, wallet_hours.c.starts_at >= start)
        .exists()
    )
    removed = conn.execute(gone.where(~present)).rowcount
    summed = sums.subquery()
    statement = insert(leaderboard_entries).from_select(
        ["period", "wallet", *_SUMS],
        select(literal(period), summed.c.wallet, *(summed.c[name] for name in _SUMS)),
    )
    new = statement.excluded
    written = conn.execute(
        statement.on_conflict_do_update(
            index_elements=[_entries.period, _entries.wallet],
            set_={name: new[name] for name in _SUMS},
            where=tuple_(*(_entries[name] for name in _SUMS)).is_distinct_from(
                tuple_(*(new[name] for name in _SUMS))
            ),
        ),
        execution_options={"preserve_rowcount": True},
    ).rowcount
    return removed + written


class Entry(msgspec.Struct, frozen=True):
    """A wallet's place: ``volume`` and ``profit`` in lamports, markets in ``resolved*``."""

    wallet: bytes
    trades: int
    volume: int
    profit: int
    resolved: int
    resolved_right: int
    not_wrong: int


_NOT_WRONG = _entries.resolved_right - _entries.resolved
_WALLET = KeyColumn("wallet", _entries.wallet, descending=True)
ORDERS: Final[dict[str, Order]] = {
    "volume": Order("volume", (KeyColumn("volume", _entries.volume, descending=True), _WALLET)),
    "profit": Order("profit", (KeyColumn("profit", _entries.profit, descending=True), _WALLET)),
    "resolved_right": Order(
        "resolved_right",
        (
            KeyColumn("resolved_right", _entries.resolved_right, descending=True),
            KeyColumn("not_wrong", _NOT_WRONG, descending=True),
            _WALLET,
        ),
    ),
}
_RANKED: Final[dict[str, ColumnElement[bool]]] = {
    "volume": _entries.volume > 0,
    "profit": _entries.profit != 0,
    "resolved_right": _entries.resolved > 0,
}


def find_entries(
    conn: Connection, by: By, period: Period, *, after: Key | None, limit: int, offset: int = 0
) -> list[Entry]:
    """Return a page of a leaderboard, the best first; equal ones by wallet."""
    columns = [_entries[name] for name in Entry.__struct_fields__[:-1]]
    statement = select(*columns, _NOT_WRONG.label("not_wrong")).where(
        _entries.period == period, _RANKED[by]
    )
    paged = ORDERS[by].page(statement, after=after, limit=limit, offset=offset)
    return many(Entry, conn.execute(paged))


def count_entries(conn: Connection, by: By, period: Period) -> int:
    """Return the number of wallets on a leaderboard, at most one more than ``COUNT_LIMIT``."""
    counted = (
        select(literal(1))
        .select_from(leaderboard_entries)
        .where(_entries.period == period, _RANKED[by])
        .limit(COUNT_LIMIT + 1)
        .subquery()
    )
    return conn.execute(select(func.count()).select_from(counted)).scalar_one()


def ranks(conn: Connection, by: By, period: Period, rows: Sequence[Entry]) -> list[int]:
    """Return the rank of each of these consecutive entries: 1 and the number of better wallets.

    Wallets with equal values have the same rank, and the next one skips as many.
    """
    if not rows:
        return []
    order = ORDERS[by]
    better = _count_before(conn, by, period, order.columns[:-1], rows[0])
    position = _count_before(conn, by, period, order.columns, rows[0])
    found = [better + 1]
    for number, (previous, row) in enumerate(pairwise(rows), position + 2):
        equal = order.key_of(previous)[:-1] == order.key_of(row)[:-1]
        found.append(found[-1] if equal else number)
    return found


def _count_before(
    conn: Connection, by: By, period: Period, columns: Sequence[KeyColumn], row: Entry
) -> int:
    key = tuple_(*(literal(getattr(row, one.name), one.element.type) for one in columns))
    return conn.execute(
        select(func.count())
        .select_from(leaderboard_entries)
        .where(
            _entries.period == period,
            _RANKED[by],
            tuple_(*(one.element for one in columns)) > key,
        )
    ).scalar_one()


class LeaderboardMismatch(msgspec.Struct, frozen=True):
    """A wallet whose entry differs from its trades or results; ``expected_*`` are those.

    ``profit`` is compared for all time only, in lamports like ``volume``.
    """

    period: str
    wallet: bytes
    trades: int
    expected_trades: int
    volume: int
    expected_volume: int
    profit: int
    expected_profit: int


def mismatches(conn: Connection, patience: timedelta) -> list[LeaderboardMismatch]:
    """Return where leaderboards differ from trades and results; empty when all match.

    Wallets that traded in a market whose change is younger than ``patience`` may be behind.
    """
    windows = many(Leaderboard, conn.execute(select(leaderboards)))
    return [row for window in windows for row in _mismatches(conn, window, patience)]


def _mismatches(
    conn: Connection, window: Leaderboard, patience: timedelta
) -> list[LeaderboardMismatch]:
    behind = (
        select(trades.c.user)
        .join(markets, markets.c.market_id == trades.c.market_id)
        .outerjoin(market_statistics, market_statistics.c.market_id == markets.c.market_id)
        .where(STALE, markets.c.updated_at >= func.now() - patience)
        .union(select(leaderboard_queue.c.wallet))
    )
    made = (
        select(
            trades.c.user.label("wallet"),
            func.count().label("trades"),
            func.sum(trades.c.cost).label("volume"),
        )
        .where(trades.c.traded_at >= window.starts_at)
        .group_by(trades.c.user)
        .subquery()
    )
    results = (
        select(
            wallet_statistics.c.wallet,
            func.sum(wallet_statistics.c.realised_pnl).label("profit"),
        )
        .group_by(wallet_statistics.c.wallet)
        .subquery()
    )
    shown = select(leaderboard_entries).where(_entries.period == window.period).subquery("shown")
    wallet = func.coalesce(shown.c.wallet, made.c.wallet)
    profit = func.coalesce(shown.c.profit, 0)
    expected = profit if window.period != "all" else func.coalesce(results.c.profit, 0)
    columns = {
        "trades": func.coalesce(shown.c.trades, 0),
        "expected_trades": func.coalesce(made.c.trades, 0),
        "volume": func.coalesce(shown.c.volume, 0),
        "expected_volume": func.coalesce(made.c.volume, 0),
        "profit": profit,
        "expected_profit": expected,
    }
    names = list(columns)
    statement = (
        select(
            cast(literal(window.period), leaderboards.c.period.type).label("period"),
            wallet.label("wallet"),
            *(column.label(name) for name, column in columns.items()),
        )
        .select_from(
            shown.join(made, made.c.wallet == shown.c.wallet, full=True).outerjoin(
                results, results.c.wallet == func.coalesce(shown.c.wallet, made.c.wallet)
            )
        )
        .where(
            or_(
                *(
                    columns[mine] != columns[theirs]
                    for mine, theirs in zip(names[::2], names[1::2], strict=True)
                )
            ),
            wallet.not_in(behind),
        )
        .order_by(wallet)
    )
    return many(LeaderboardMismatch, conn.execute(statement))
