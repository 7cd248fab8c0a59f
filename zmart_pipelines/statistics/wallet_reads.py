"""A wallet's results as they are now: stored rows where they are right, computed where not.

A row of ``market.wallet_statistics`` is right until its market changes. What has changed since
the last refresh is computed here from the same trades by the same function, so that an answer
never depends on when the refresh ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.payout import claim_refusal
from zmart_pipelines.program.wallet_entry import Entry
from zmart_pipelines.statistics.wallet_history import Parts, PositionHistory, history
from zmart_pipelines.statistics.wallets import HOUR, Outcome, WalletResult, wallet_result
from zmart_pipelines.store.queries import candles, pool_history, positions, wallet_entries
from zmart_pipelines.store.queries.pool_history import Hours


def result_of(held: positions.Position, entries: Sequence[Entry], hours: Hours) -> WalletResult:
    """Return a position's result.

    Args:
        held: The position.
        entries: Its trades, in the chain's order.
        hours: The market's pools by the hour.
    """
    liquidity = hours[-1][1].liquidity if hours else held.initial_liquidity
    return wallet_result(
        Outcome(
            market_id=held.market_id,
            wallet=held.user,
            shares_yes=held.shares_yes,
            shares_no=held.shares_no,
            invested=held.total_invested,
            open_value=held.open_value,
            settled=held.settled,
            claimed=held.claimed_amount,
            claimed_at=held.closed_by_claim_at,
            final_at=held.final_at,
            lost_at=held.lost_at(liquidity),
            outcome=held.final_outcome,
        ),
        entries,
    )


class PastPools(NamedTuple):
    """What the past of markets' pools says, for the positions that depend on it, by market."""

    hours: Mapping[bytes, Hours]
    paid_out: Mapping[bytes, int]


NO_POOLS: Final = PastPools({}, {})


def depends_on_pools(held: positions.Position) -> bool:
    """Whether the past of its market's pool decides a position's result or its claim's refusal."""
    is_lost = held.settled and not held.has_claimed and held.emptied_at is not None
    return is_lost or held.status == "claimable"


def past_pools(
    conn: Connection, held: Iterable[positions.Position], *, until_slot: int | None = None
) -> PastPools:
    """Return what ``position_result`` needs of the markets of these positions.

    Args:
        conn: Reads the tables.
        held: The positions, as they were after ``until_slot``.
        until_slot: The last slot that counts, inclusive; None: now.
    """
    asked = sorted({one.market_id for one in held if depends_on_pools(one)})
    if not asked:
        return NO_POOLS
    return PastPools(
        pool_history.hours_of(conn, asked),
        pool_history.paid_out(conn, asked, until_slot=until_slot),
    )


def position_result(
    held: positions.Position, entries: Sequence[Entry], pools: PastPools
) -> positions.PositionResult:
    """Return what a position cost and brought.

    Args:
        held: The position.
        entries: Its trades, in the chain's order.
        pools: Of its market, if the position depends on them.
    """
    result = result_of(held, entries, pools.hours.get(held.market_id, []))
    return positions.PositionResult(
        cost_yes=result.cost_yes,
        cost_no=result.cost_no,
        proceeds=result.statistics["proceeds"],
        realised_pnl=result.statistics["realised_pnl"],
        claim_refusal=claim_refusal_of(held, pools),
    )


def claim_refusal_of(held: positions.Position, pools: PastPools) -> ProgramError | None:
    """Return the error with which the program would refuse a claim now; None: it pays."""
    balance = 0
    if hours := pools.hours.get(held.market_id):
        last = hours[-1][1]
        # The first claim paid the resolver what the market owes it no longer.
        to_resolver = last.resolver_fees - held.resolver_fees
        balance = last.balance - pools.paid_out.get(held.market_id, 0) - to_resolver
    return claim_refusal(
        state=held.state,
        has_claimed=held.has_claimed,
        outcome=held.final_outcome,
        payout=held.payout(held.final_outcome),
        balance=balance,
        resolver_fees=held.resolver_fees,
    )


def with_results(
    conn: Connection,
    wallet: bytes,
    held: Sequence[positions.Position],
    *,
    until_slot: int | None = None,
) -> list[tuple[positions.Position, positions.PositionResult]]:
    """Return each of a wallet's positions with what it cost and brought.

    Args:
        conn: The connection.
        wallet: Whose positions.
        held: The positions, as they were after ``until_slot``.
        until_slot: The last slot that counts, inclusive; None: now.
    """
    market_ids = [one.market_id for one in held]
    entries = wallet_entries.entries_of_wallet(conn, wallet, market_ids, until_slot=until_slot)
    pools = past_pools(conn, held, until_slot=until_slot)
    return [(one, position_result(one, entries[one.market_id], pools)) for one in held]


def results_of(
    conn: Connection, wallet: bytes, held: Sequence[positions.Position]
) -> dict[bytes, WalletResult]:
    """Return the results of a wallet's positions, by market, computed from its trades."""
    market_ids = [one.market_id for one in held]
    entries = wallet_entries.entries_of_wallet(conn, wallet, market_ids)
    # The pool's history matters only for when a position was lost.
    emptied = [one.market_id for one in held if one.emptied_at is not None]
    hours = pool_history.hours_of(conn, emptied)
    return {
        one.market_id: result_of(one, entries[one.market_id], hours.get(one.market_id, []))
        for one in held
    }


def figures(conn: Connection, wallet: bytes) -> candles.WalletFigures:
    """Return a wallet's totals over all of its markets, as they are now."""
    stored = candles.figures_of_wallet(conn, wallet)
    stale = positions.stale_positions(conn, wallet)
    rows = [result.statistics for result in results_of(conn, wallet, stale).values()]
    computed = {name: sum(row[name] for row in rows) for name in candles.WALLET_SUMS}
    total = candles.WalletFigures(
        wallet=wallet,
        markets=len(rows),
        settled_markets=sum(row["settled"] for row in rows),
        **computed,
    )
    if stored is None:
        return total
    return candles.WalletFigures(
        wallet=wallet,
        **{
            name: getattr(stored, name) + getattr(total, name)
            for name in candles.WalletFigures.__struct_fields__
            if name != "wallet"
        },
    )


# After every event, so that a point there counts everything that is stored.
_END_OF_TIME: Final = 2**62


def history_of(
    conn: Connection,
    wallet: bytes,
    *,
    seconds: int,
    begins: int | None,
    ends: int | None,
    now: int,
    limit: int,
) -> list[tuple[int, Parts]]:
    """Return a wallet's results before past times, oldest first.

    Args:
        conn: Reads the tables.
        wallet: Whose.
        seconds: Length of an interval, a multiple of an hour; points lie at its multiples.
        begins: No point is before it, in chain seconds; None: the first trade.
        ends: No point is after it; None: the last point is that of now.
        now: Chain seconds.
        limit: The most points; the last ones.

    Returns:
        Each point's time in chain seconds, and the parts of what happened before it. The point
        of now counts everything that is stored.
    """
    held = positions.all_of_user(conn, wallet)
    market_ids = [one.market_id for one in held]
    if begins is None:
        begins = min((one.first_trade_at for one in held), default=now)
    current = ends is None or ends >= now
    times = _times(seconds, begins, now if ends is None else min(ends, now), limit - current)
    if current and times and times[-1] == now:
        times.pop()
    moments = [*times, _END_OF_TIME] if current else times
    if not moments:
        return []
    entries = wallet_entries.entries_of_wallet(conn, wallet, market_ids)
    hours = pool_history.hours_of(conn, market_ids)
    found = history(
        (_history(one, entries[one.market_id], hours.get(one.market_id, [])) for one in held),
        moments,
    )
    return list(zip([*times, now] if current else times, found, strict=True))


def _times(seconds: int, begins: int, ends: int, limit: int) -> list[int]:
    """Return the last ``limit`` multiples of ``seconds`` from ``begins`` to ``ends``."""
    first = -(-max(begins, 0) // seconds)
    last = ends // seconds
    return [number * seconds for number in range(max(first, last - limit + 1), last + 1)]


def _history(held: positions.Position, entries: Sequence[Entry], hours: Hours) -> PositionHistory:
    return PositionHistory(
        entries=entries,
        pools=[(starts_at + HOUR - 1, pool) for starts_at, pool in hours],
        final_at=held.final_at,
        outcome=held.final_outcome,
        emptied_at=held.emptied_at,
        claimed_at=held.closed_by_claim_at,
        claimed=held.claimed_amount,
    )
