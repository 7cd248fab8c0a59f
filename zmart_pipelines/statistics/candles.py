"""Candles: the price of YES and the volume over equal intervals. Pure."""

from __future__ import annotations

import pandas as pd


def candles(trades: pd.DataFrame, seconds: int) -> pd.DataFrame:
    """Return one row per market and interval in which it was traded.

    Intervals begin at multiples of ``seconds`` of chain time. Intervals without a trade have
    no row: their price is the close of the row before.

    Args:
        trades: As ``frames.trades`` gives them, of any number of markets.

    Returns:
        ``market_id``, ``starts_at`` (chain seconds), ``open``, ``high``, ``low`` and
        ``close`` (prices after trades, in the chain's order, 9 decimals), ``volume`` (sum of
        costs, lamports) and ``trades`` (their number), in the order of market and time.
    """
    starts_at = trades["traded_at"] // seconds * seconds
    grouped = trades.assign(starts_at=starts_at).groupby(["market_id", "starts_at"])
    return grouped.agg(
        open=("price_yes", "first"),
        high=("price_yes", "max"),
        low=("price_yes", "min"),
        close=("price_yes", "last"),
        volume=("cost", "sum"),
        trades=("price_yes", "size"),
    ).reset_index()
