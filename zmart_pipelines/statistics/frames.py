"""Exact DataFrames: amounts stay Python integers, whatever their size. Pure.

A u64 does not fit pandas' int64, and a float is no amount: columns of lamports have dtype
``object`` and hold ``int``. Prices, slots and chain seconds are int64.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

TRADES: Mapping[str, str] = {
    "market_id": "object",
    "user": "object",
    "buys": "bool",
    "cost": "object",
    "price_yes": "int64",
    "traded_at": "int64",
    "slot": "int64",
    "index_in_block": "int64",
    "signature": "object",
    "log_index": "int64",
}

# The order of the fold: an unknown index in the block leaves it to the signature.
_ORDER = ["slot", "index_in_block", "signature", "log_index"]


def frame(rows: Iterable[Sequence[Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return a DataFrame of rows with these columns, by name and dtype."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=dtype)
            for (name, dtype), column in zip(columns.items(), values, strict=True)
        }
    )


def trades(rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """Return trades in the columns of ``TRADES``, sorted in the chain's order."""
    return frame(rows, TRADES).sort_values(_ORDER, kind="stable", ignore_index=True)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as plain Python values."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def per_market(values: pd.Series, market_ids: Collection[bytes], missing: Any) -> list[Any]:
    """Return the values of these markets in their order; ``missing`` for those without one."""
    found = dict(zip(values.index, values.tolist(), strict=True))
    return [found.get(market_id, missing) for market_id in market_ids]
