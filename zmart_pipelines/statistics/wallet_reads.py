"""A wallet's results as they are now: stored rows where they are right, computed where not.

A row of ``market.wallet_statistics`` is right until its market changes. What has changed since
the last refresh is computed here from the same trades by the same function, so that an answer
never depends on when the refresh ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

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
    results = results_of(conn, wallet, held, until_slot=until_slot)
    refusals = _claim_refusals(conn, held, until_slot)
    return [
        (
            one,
            positions.PositionResult(
                cost_yes=results[one.market_id].cost_yes,
                cost_no=results[one.market_id].cost_no,
                proceeds=results[one.market_id].statistics["proceeds"],
                realised_pnl=results[one.market_id].statistics["realised_pnl"],
                claim_refusal=refusals[one.market_id],
            ),
        )
        for one in held
    ]


def _claim_refusals(
    conn: Connection, held: Sequence[positions.Position], until_slot: int | None
) -> dict[bytes, ProgramError | None]:
    """Return the error with which the program would refuse each claim now; None: it pays."""
    asked = [one.market_id for one in held if one.status == "claimable"]
    hours = pool_history.hours_of(conn, asked)
    paid = pool_history.paid_out(conn, asked, until_slot=until_slot)

    def refusal(one: positions.Position) -> ProgramError | None:
        balance = 0
        if (pools := hours.get(one.market_id)) is not None and pools:
            last = pools[-1][1]
            # The first claim paid the resolver what the market owes it no longer.
            to_resolver = last.resolver_fees - one.resolver_fees
            balance = last.balance - paid.get(one.market_id, 0) - to_resolver
        return claim_refusal(
            state=one.state,
            has_claimed=one.has_claimed,
            outcome=one.final_outcome,
            payout=one.payout(one.final_outcome),
            balance=balance,
            resolver_fees=one.resolver_fees,
        )

    return {one.market_id: refusal(one) for one in held}


def results_of(
    conn: Connection,
    wallet: bytes,
    held: Sequence[positions.Position],
    *,
    until_slot: int | None = None,
) -> dict[bytes, WalletResult]:
    """Return the results of a wallet's positions, by market, computed from its trades."""
    market_ids = [one.market_id for one in held]
    entries = wallet_entries.entries_of_wallet(conn, wallet, market_ids, until_slot=until_slot)
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
