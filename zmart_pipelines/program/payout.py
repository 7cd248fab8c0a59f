"""Payouts of finalized markets, in lamports, as the program computes them."""

from __future__ import annotations

from typing import Final

# Rent of the cluster: two years of 3480 lamports per byte-year, with 128 bytes of overhead.
RENT_PER_BYTE: Final = 6960
ACCOUNT_OVERHEAD: Final = 128
# Lamports that withdraw_liquidity leaves in the market above its rent.
WITHDRAWAL_RESERVE: Final = 10_000


def rent_minimum(size: int) -> int:
    """Return the balance that exempts an account of ``size`` bytes from rent."""
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
    """Return the payout of a position when the market ends with ``outcome``; 0: nothing won.

    It is the winner's part, by shares, of the market's counted liquidity, rounded down; the
    b / 1000 shares that no one owns participate. Without an outcome (None) it is everything
    that was invested. The market's balance may be less than its counted liquidity; then the
    program refuses the claim.
    """
    if outcome is None:
        return total_invested
    held, outstanding = (
        (shares_yes, market_shares_yes) if outcome else (shares_no, market_shares_no)
    )
    return held * current_liquidity // outstanding if outstanding else 0
