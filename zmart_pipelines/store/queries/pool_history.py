"""The pools of markets over time: stored by the hour, and replayed from trades.

The stored hours are right for a market that has not changed since they were computed; otherwise
they are replayed, so that what is read never lags behind the trades.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TypeAlias

from sqlalchemy import Connection, func, select, true

from zmart_pipelines.program.lmsr import DEFAULT_FEES, PRECISION, Fees
from zmart_pipelines.program.pool_replay import PoolState, PoolTrade, last_of_each, opening
from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables.market import (
    claims,
    config_history,
    markets,
    trades,
    withdrawals,
)
from zmart_pipelines.store.tables.statistics import HOUR, market_statistics, pool_history

Place: TypeAlias = tuple[int, int, bytes, int]
"""Slot, index in the block, signature and log index, in the chain's order."""

Hours: TypeAlias = list[tuple[int, PoolState]]
"""The start of each hour with a trade, and the pool after its last one; oldest first."""

_OPENING_PRICE = PRECISION // 2


class FeeHistory:
    """The fees in force at any place of the chain."""

    def __init__(self, conn: Connection) -> None:
        """Read every change of the configuration."""
        table = config_history.c
        rows = conn.execute(
            select(
                table.slot,
                table.index_in_block,
                table.signature,
                table.log_index,
                table.protocol_fee_bps,
                table.resolver_reward_bps,
                table.liquidity_provider_fee_bps,
            )
        )
        changes = sorted((tuple(row[:4]), Fees(*row[4:])) for row in map(tuple, rows))
        self._places: list[Place] = [place for place, _ in changes]
        self._fees = [fees for _, fees in changes]

    def at(self, place: Place) -> Fees:
        """Return the fees of a trade at this place: before the first known change the defaults."""
        number = bisect_right(self._places, place)
        return self._fees[number - 1] if number else DEFAULT_FEES


def replayed_hours(conn: Connection, market_ids: Collection[bytes]) -> dict[bytes, Hours]:
    """Return the pools of these markets by the hour, replayed from all of their trades."""
    if not market_ids:
        return {}
    fees = FeeHistory(conn)
    made: defaultdict[bytes, list[PoolTrade]] = defaultdict(list)
    table = trades.c
    statement = (
        select(
            table.slot,
            table.index_in_block,
            table.signature,
            table.log_index,
            table.market_id,
            table.traded_at,
            table.trade_type,
            table.outcome,
            table.shares,
            table.cost,
            table.price_yes,
        )
        .where(table.market_id.in_(market_ids))
        .order_by(table.slot, table.index_in_block, table.signature, table.log_index)
    )
    for row in conn.execute(statement):
        place = (row.slot, row.index_in_block, row.signature, row.log_index)
        made[row.market_id].append(
            PoolTrade(
                row.traded_at,
                row.trade_type == "buy",
                row.outcome,
                row.shares,
                row.cost,
                row.price_yes,
                fees.at(place),
            )
        )
    pools = conn.execute(
        select(markets.c.market_id, markets.c.b_parameter, markets.c.initial_liquidity).where(
            markets.c.market_id.in_(market_ids)
        )
    )
    return {
        row.market_id: list(
            last_of_each(
                HOUR,
                opening(row.b_parameter, row.initial_liquidity, _OPENING_PRICE),
                row.b_parameter,
                made[row.market_id],
            )
        )
        for row in pools
    }


def hours_of(conn: Connection, market_ids: Collection[bytes]) -> Mapping[bytes, Hours]:
    """Return the pools of these markets by the hour: as stored where that is right.

    Markets without trades have no hours.
    """
    if not market_ids:
        return {}
    right = set(
        conn.scalars(
            select(markets.c.market_id)
            .join(
                market_statistics,
                (market_statistics.c.market_id == markets.c.market_id)
                & (market_statistics.c.market_updated_at == markets.c.updated_at),
            )
            .where(markets.c.market_id.in_(market_ids))
        )
    )
    found: defaultdict[bytes, Hours] = defaultdict(list)
    table = pool_history.c
    rows = conn.execute(
        select(pool_history)
        .where(table.market_id.in_(right))
        .order_by(table.market_id, table.starts_at)
    )
    for row in rows:
        found[row.market_id].append((row.starts_at, one(PoolState, row)))
    return {**found, **replayed_hours(conn, [key for key in market_ids if key not in right])}


def paid_out(
    conn: Connection, market_ids: Collection[bytes], *, until_slot: int | None = None
) -> dict[bytes, int]:
    """Return the lamports that claims and withdrawals took out of these markets' accounts.

    What the first claim paid to the resolver is not among them.

    Args:
        until_slot: The last slot, inclusive; None: all.
    """
    taken: defaultdict[bytes, int] = defaultdict(int)
    for table in (claims, withdrawals):
        rows = conn.execute(
            select(table.c.market_id, func.sum(table.c.amount))
            .where(
                table.c.market_id.in_(market_ids),
                true() if until_slot is None else table.c.slot <= until_slot,
            )
            .group_by(table.c.market_id)
        )
        for market_id, amount in rows:
            taken[market_id] += int(amount)
    return taken
