"""What the program pays out of a finalized market, in lamports."""

from __future__ import annotations

from typing import Final

# Rent of the cluster: two years of 3480 lamports per byte-year, with 128 bytes of overhead.
RENT_PER_BYTE: Final = 6960
ACCOUNT_OVERHEAD: Final = 128
# What withdraw_liquidity leaves in the market above its rent.
WITHDRAWAL_RESERVE: Final = 10_000


def rent_minimum(size: int) -> int:
    """What an account of this many bytes must hold to be exempt from rent."""
    return (ACCOUNT_OVERHEAD + size) * RENT_PER_BYTE


def claim_amount(
    outcome: bool | None,
    *,
    shares_yes: int,
    shares_no: int,
    total_invested: int,
    market_shares_yes: int,
    market_shares_no: int,
    current_liquidity: int,
) -> int:
    """What claiming a position pays when the market ends with ``outcome``; 0: nothing won.

    The winner's part, by shares, of the liquidity the market counts, rounded down; the
    b / 1000 shares that nobody owns take part. Without an outcome (None): all that was
    invested. The market may hold less than it counts; then the program refuses the claim.
    """
    if outcome is None:
        return total_invested
    held, outstanding = (
        (shares_yes, market_shares_yes) if outcome else (shares_no, market_shares_no)
    )
    return held * current_liquidity // outstanding if outstanding else 0
