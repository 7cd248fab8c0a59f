"""Amounts and names as people read them. Exact: no amount is rounded."""

from __future__ import annotations

from datetime import UTC, datetime

from zmart_pipelines.program.lmsr import PRECISION


def decimal(amount: int) -> str:
    """Return an amount with 9 decimals, without trailing zeros: ``1_500_000_000`` is ``1.5``."""
    whole, rest = divmod(abs(amount), PRECISION)
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}.{rest:09}".rstrip("0").rstrip(".")


def sol(lamports: int) -> str:
    """Return lamports in SOL."""
    return f"{decimal(lamports)} SOL"


def side(outcome: bool) -> str:
    """Return the name of a side."""
    return "YES" if outcome else "NO"


def shares(amount: int, outcome: bool) -> str:
    """Return a number of shares of a side."""
    return f"{decimal(amount)} {side(outcome)} shares"


def moment(seconds: int) -> str:
    """Return chain seconds as a time in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
