"""What the program pays out of a finalized market, in lamports."""

from __future__ import annotations

from typing import Final

import msgspec

from zmart_pipelines.program.accounts import (
    ALLOCATED_SIZE,
    MarketAccount,
    MarketState,
    UserPosition,
)
from zmart_pipelines.program.errors import ProgramError

# Rent of the cluster: two years of 3480 lamports per byte-year, with 128 bytes of overhead.
RENT_PER_BYTE: Final = 6960
ACCOUNT_OVERHEAD: Final = 128
WITHDRAWAL_RESERVE: Final = 10_000


class PayoutError(Exception):
    """The program would refuse the payment with ``code``."""

    def __init__(self, code: ProgramError) -> None:
        super().__init__(f"{code.name}: {code.message}")
        self.code = code


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One claim: what the holder gets, and what the market's resolver gets with it."""

    winnings: int
    resolver_payment: int


def rent_minimum(size: int) -> int:
    """What an account of this many bytes must hold to be exempt from rent."""
    return (ACCOUNT_OVERHEAD + size) * RENT_PER_BYTE


MARKET_RENT: Final = rent_minimum(ALLOCATED_SIZE[MarketAccount])


def claim_amount(market: MarketAccount, position: UserPosition) -> int:
    """What the position is worth in the finalized market; 0 where it won nothing.

    The winner's part of the counted liquidity by shares, where the pool's own b / 1000
    shares take part, rounded down. Without an outcome: all that was invested.
    """
    if market.final_outcome is None:
        return position.total_invested
    if market.final_outcome:
        held, outstanding = position.shares_yes, market.shares_yes
    else:
        held, outstanding = position.shares_no, market.shares_no
    return held * market.current_liquidity // outstanding if outstanding else 0


def claim(market: MarketAccount, position: UserPosition, balance: int) -> Claim:
    """What a claim pays from a market account that holds ``balance`` lamports.

    With an outcome the first claim pays the resolver as well. Raises PayoutError with the
    program's own error, in the program's order of checks.
    """
    if market.state is not MarketState.FINALIZED:
        raise PayoutError(ProgramError.InvalidMarketState)
    if position.has_claimed:
        raise PayoutError(ProgramError.AlreadyClaimed)
    winnings = claim_amount(market, position)
    if winnings == 0:
        raise PayoutError(ProgramError.NoWinnings)
    resolver = market.accumulated_resolver_fees if market.final_outcome is not None else 0
    if balance < winnings + resolver:
        raise PayoutError(ProgramError.InsufficientLiquidity)
    if balance - winnings - resolver < MARKET_RENT:
        raise PayoutError(ProgramError.WouldBreakRentExemption)
    return Claim(winnings, resolver)


def withdrawable(balance: int) -> int:
    """What the creator can take from a finalized market that holds ``balance`` lamports."""
    return max(0, balance - MARKET_RENT - WITHDRAWAL_RESERVE)
