"""Results of wallets per market. Pure."""

from __future__ import annotations

import pandas as pd

_KEY = ["market_id", "user"]
_SUMS = ["trades", "volume", "proceeds"]


def wallet_statistics(positions: pd.DataFrame, trades: pd.DataFrame) -> pd.DataFrame:
    """Return one row per position: invested, paid out, and still open.

    Args:
        positions: In the columns of ``frames.POSITIONS``; ``open_value`` is what the
            program would pay for what is not claimed, ``settled`` that nothing more can come.
        trades: As ``frames.trades`` gives them, of the same markets.

    Returns:
        The columns of ``market.wallet_statistics``. A settled position's profit is
        its proceeds and claim less all that was paid in; others have none yet.
    """
    cost = trades["cost"]
    sums = (
        trades[_KEY]
        .assign(trades=1, volume=cost, proceeds=cost.where(~trades["buys"], 0))
        .groupby(_KEY, as_index=False)
        .sum()
    )
    joined = positions.merge(sums, on=_KEY, how="left")
    # The join leaves the sums empty where a position has no trades.
    joined[_SUMS] = joined[_SUMS].astype(object).where(joined[_SUMS].notna(), 0)
    joined["trades"] = joined["trades"].map(int)
    result = joined["proceeds"] + joined["claimed"] - joined["invested"]
    joined["realised_pnl"] = result.where(joined["settled"], 0)
    return joined.rename(columns={"user": "wallet"})
