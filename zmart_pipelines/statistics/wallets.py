"""What wallets made of markets. Pure."""

from __future__ import annotations

import pandas as pd

_KEY = ["market_id", "user"]
_SUMS = ["trades", "volume", "proceeds"]


def wallet_statistics(positions: pd.DataFrame, trades: pd.DataFrame) -> pd.DataFrame:
    """One row per position: what went in, what came out, what is left.

    :param positions: in the columns of ``frames.POSITIONS``; ``open_value`` is what the
        program would pay for what is not claimed, ``settled`` that nothing more can come.
    :param trades: as ``frames.trades`` gives them, of the same markets.
    :returns: the columns of ``market.wallet_statistics``. A settled position's profit is
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
