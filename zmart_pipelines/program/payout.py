"""Payouts of finalized markets, in lamports, as the program computes them."""

from __future__ import annotations

from typing import Final

from zmart_pipelines.program.accounts import ALLOCATED_SIZE, MarketAccount, MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lmsr import PRECISION

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


MARKET_RENT: Final = rent_minimum(ALLOCATED_SIZE[MarketAccount])


def claim_refusal(
    *,
    state: int,
    has_claimed: bool,
    outcome: bool | None,
    payout: int,
    balance: int,
    resolver_fees: int,
) -> ProgramError | None:
    """Return the error with which claim_winnings would refuse a position; None if it pays.

    The checks are the program's, in its order. The first successful claim with an outcome also
    pays the resolver, and each of the two payments must leave the market its rent.

    Args:
        state: The market's.
        has_claimed: The position's.
        outcome: The market's final outcome; None for invalid.
        payout: ``claim_amount`` for that outcome.
        balance: Lamports of the market's account.
        resolver_fees: Lamports that the market still owes its resolver.
    """
    if state != MarketState.FINALIZED:
        return ProgramError.InvalidMarketState
    if has_claimed:
        return ProgramError.AlreadyClaimed
    if payout == 0:
        return ProgramError.NoWinnings
    owed = payout if outcome is None else payout + resolver_fees
    if balance < owed:
        return ProgramError.InsufficientLiquidity
    return ProgramError.WouldBreakRentExemption if balance - owed < MARKET_RENT else None


def price_weighted(payout_yes: int, payout_no: int, price_yes: int) -> int:
    """Return what a position is worth before its market ends: both payouts by the price of YES.

    Args:
        payout_yes: Lamports that a claim pays if YES wins.
        payout_no: The same if NO wins.
        price_yes: 9 decimals.
    """
    return (payout_yes * price_yes + payout_no * (PRECISION - price_yes)) // PRECISION
