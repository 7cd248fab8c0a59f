"""Statistics of a market's trading: volumes, traders, the last 24 hours. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from zmart_pipelines.program.lifecycle import BASIS_POINTS
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.statistics.frames import per_market

DAY = 86_400
OPENING_PRICE = PRECISION // 2


def price_change_bps(before: int, now: int) -> int | None:
    """Return the change in basis points of ``before``, rounded down; None where that was 0."""
    return (now - before) * BASIS_POINTS // before if before else None


def market_statistics(market_ids: Sequence[bytes], trades: pd.DataFrame, now: int) -> pd.DataFrame:
    """Return one row per market of ``market_ids``, in their order, also for those without trades.

    The 24 hours end with ``now``; the price 24 hours ago is the one after the last trade before
    them, the opening price without one.

    Args:
        trades: As ``frames.trades`` gives them, of these markets.
        now: Chain seconds, not before any trade.

    Returns:
        The columns of ``market.market_statistics`` but ``market_updated_at``.
    """
    recent = trades["traded_at"] > now - DAY
    whole = trades.groupby("market_id")
    cost = whole["cost"].sum()
    bought = trades[trades["buys"]].groupby("market_id")["cost"].sum()
    of_day = trades[recent].groupby("market_id")
    before = trades[~recent].groupby("market_id")["price_yes"].last()
    totals = per_market(cost, market_ids, 0)
    buys = per_market(bought, market_ids, 0)
    prices = per_market(whole["price_yes"].last(), market_ids, OPENING_PRICE)
    day_ago = per_market(before, market_ids, OPENING_PRICE)
    leaves = per_market(of_day["traded_at"].min() + DAY, market_ids, None)
    columns = {
        "market_id": list(market_ids),
        "total_trades": per_market(whole.size(), market_ids, 0),
        "unique_traders": per_market(whole["user"].nunique(), market_ids, 0),
        "total_volume": totals,
        "buy_volume": buys,
        "sell_volume": [total - buy for total, buy in zip(totals, buys, strict=True)],
        "volume_24h": per_market(of_day["cost"].sum(), market_ids, 0),
        "traders_24h": per_market(of_day["user"].nunique(), market_ids, 0),
        "price_yes": prices,
        "price_24h_ago": day_ago,
        "price_change_bps": list(map(price_change_bps, day_ago, prices)),
        "last_trade_at": per_market(whole["traded_at"].max(), market_ids, None),
        "as_of": [now] * len(market_ids),
        "valid_until": leaves,
    }
    return pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
