"""Quotes as clients read them: one form for the open route and for prepared trades."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import msgspec

from api.error_codes import ErrorCode, code_of_program_error
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.program import quotes

_CODES: Final = MappingProxyType(
    {
        quotes.Cause.PROGRAM: ErrorCode.SIMULATION_FAILED,
        quotes.Cause.TOO_SMALL: ErrorCode.TRADE_TOO_SMALL,
        quotes.Cause.OUT_OF_REACH: ErrorCode.TRADE_TOO_LARGE,
        quotes.Cause.SALES_FAIL: ErrorCode.SALE_UNSUPPORTED,
    }
)


class QuotedFees(formats.ExactIntegers, frozen=True, kw_only=True):
    """The fee of a trade by its receiver, in lamports.

    `protocol` leaves the market at once; `resolver` and `liquidity_provider` stay in it.
    """

    protocol: formats.LargeInt
    resolver: formats.LargeInt
    liquidity_provider: formats.LargeInt
    total: formats.LargeInt


class TradeQuote(formats.ExactIntegers, frozen=True, kw_only=True):
    """The trade if it were executed now, by the program's own integer arithmetic.

    `total` is what a buyer pays (`amount` and fees) or a seller gets (`amount` less fees), in
    lamports. `max_cost` is the argument of the transaction that buys exactly these shares; null
    for a sale. Shares and prices have 9 decimals; prices are those of the traded side, and
    `average_price` is `total` per share. `price_impact_bps` is the change of the price,
    `slippage_bps` by how much the average price without fees is worse than `price_before`; both
    in basis points of `price_before`, rounded down.
    """

    shares: formats.LargeInt
    amount: formats.LargeInt
    fees: QuotedFees
    total: formats.LargeInt
    max_cost: int | None
    price_before: int
    price_after: int
    average_price: formats.LargeInt
    price_impact_bps: int
    slippage_bps: int


class RefusedTrade(msgspec.Struct, frozen=True):
    """Why the program would refuse the trade now.

    `code` is one of the codes of errors; `program_error` and `program_error_number` are the
    program's own, null where it is not the program that refuses.
    """

    code: ErrorCode
    message: str
    program_error: str | None
    program_error_number: int | None


def trade_quote(figures: quotes.Figures) -> TradeQuote:
    """Return a quote's figures as clients read them."""
    fees = figures.fees
    return TradeQuote(
        shares=figures.shares,
        amount=figures.amount,
        fees=QuotedFees(
            protocol=fees.protocol,
            resolver=fees.resolver,
            liquidity_provider=fees.lp,
            total=fees.total,
        ),
        total=figures.total,
        max_cost=figures.budget,
        price_before=figures.price_before,
        price_after=figures.price_after,
        average_price=figures.average_price,
        price_impact_bps=figures.impact_bps,
        slippage_bps=figures.slippage_bps,
    )


def refused_trade(refusal: quotes.Refusal) -> RefusedTrade:
    """Return a refusal as clients read it."""
    error = refusal.error
    return RefusedTrade(
        code=_code(refusal),
        message=refusal.message,
        program_error=None if error is None else error.name,
        program_error_number=None if error is None else int(error),
    )


def _code(refusal: quotes.Refusal) -> ErrorCode:
    if refusal.cause is quotes.Cause.PROGRAM and refusal.error is not None:
        return code_of_program_error(refusal.error.name)
    return _CODES[refusal.cause]
