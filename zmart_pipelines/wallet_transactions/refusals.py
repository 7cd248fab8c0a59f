"""Why an act would be refused: the program's reason, what it means here, and the remedy."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.program import quotes
from zmart_pipelines.program.accounts import MarketAccount, MarketState
from zmart_pipelines.program.errors import ProgramError, name_of, number_of


class Reason(Enum):
    """What stands against an act."""

    PROGRAM = "The program, or the runtime around it, raises an error."
    TRADE_TOO_SMALL = "The program gives no shares for so little."
    TRADE_TOO_LARGE = "No budget buys as many shares in one trade."
    SALE_UNSUPPORTED = "The deployed program cannot pay for sold shares."
    ALREADY_VOTED = "The wallet has voted on chain."
    MARKET_EXISTS = "The market is on chain already."
    NO_CHANGE = "The act would change nothing."
    RECEIVER_WITHOUT_RENT = "Another account that is paid would hold less than its minimum."


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an act would be refused at a view of the chain.

    Attributes:
        message: For people: what is wrong.
        remedy: For people: what helps; empty where nothing does.
        error: The name of the program's, the System program's or the runtime's error; None
            where none is raised.
        number: The error's number in the program's interface, if it has one.
        argument: The argument of the act to change, where it is one.
    """

    reason: Reason
    message: str
    remedy: str
    error: str | None = None
    number: int | None = None
    argument: str | None = None


# The System program's error for an address that is in use.
_ADDRESS_IN_USE: Final = 0
_ANY_TRADE: Final = "Trade another amount."

_REMEDIES: Final = MappingProxyType(
    {
        "AccountNotFound": "Fund the wallet.",
        "AccountNotInitialized": "Buy shares first; this wallet never traded in the market.",
        "AlreadyClaimed": "",
        "DisputePeriodEnded": "",
        "ExponentTooLarge": "Trade the other side, or a smaller amount.",
        "InsufficientFundsForFee": "Fund the wallet.",
        "InsufficientFundsForRent": "Fund the wallet, or leave nothing at all in it.",
        "InsufficientLiquidity": "Try again when the market's account holds more.",
        "InsufficientShares": "Sell at most the shares that the wallet holds.",
        "InsufficientVotes": "Count the votes again once more of them are likes.",
        "InvalidBParameter": "Choose a b of at least 100 SOL; this market can never be traded.",
        "InvalidFeeStructure": "Lower the fees to at most 10,000 basis points in total.",
        "InvalidLiquidity": "Choose a liquidity above 0.",
        "InvalidThreshold": "Lower the threshold to at most 10,000 basis points.",
        "InvalidTimeLimit": "Give a time above 0 seconds.",
        "InvalidTimestamp": "Try again in a few seconds.",
        "NoVotesRecorded": "Wait until the pipelines have written the counts of votes.",
        "NoWinnings": "",
        "OverflowError": "Trade a smaller amount.",
        "ProtocolPaused": "Wait until the admin ends the pause.",
        "ResultWithNegativeLamports": "Fund the wallet, or spend less.",
        "SlippageExceeded": "Accept a worse price, or trade less.",
        "TradeTooSmall": "Trade at least 10,000 lamports.",
        "Unauthorized": "Use the wallet that the program permits this to.",
        "UnderflowError": _ANY_TRADE,
        "WouldBreakRentExemption": "Try again when the market's account holds more.",
    }
)


def remedy_of(error: str) -> str:
    """Return what helps against an error, by its name; empty where nothing is known."""
    return _REMEDIES.get(error, "")


def by_program(
    error: ProgramError,
    message: str | None = None,
    remedy: str | None = None,
    argument: str | None = None,
) -> Refusal:
    """Return the refusal with one of the program's errors.

    Args:
        error: What it raises.
        message: What is wrong here; the program's own text where it is not given.
        remedy: What helps here; that of the error where it is not given.
        argument: The argument of the act to change.
    """
    return Refusal(
        reason=Reason.PROGRAM,
        message=message or error.message,
        remedy=remedy_of(error.name) if remedy is None else remedy,
        error=error.name,
        number=int(error),
        argument=argument,
    )


def by_runtime(error: str, message: str, remedy: str | None = None) -> Refusal:
    """Return the refusal with an error that is not the program's own, by its name."""
    return Refusal(
        reason=Reason.PROGRAM,
        message=message,
        remedy=remedy_of(error) if remedy is None else remedy,
        error=error,
        number=number_of(error),
    )


def address_in_use(reason: Reason, message: str, remedy: str) -> Refusal:
    """Return the refusal to create an account that exists."""
    return Refusal(
        reason=reason,
        message=message,
        remedy=remedy,
        error=name_of(_ADDRESS_IN_USE),
        number=_ADDRESS_IN_USE,
    )


def wrong_state(
    market: MarketAccount,
    *needed: MarketState,
    error: ProgramError = ProgramError.InvalidMarketState,
) -> Refusal | None:
    """Return the refusal unless the market is in one of the states; they are in order."""
    if market.state in needed:
        return None
    names = " or ".join(state.name for state in needed)
    is_early = market.state < needed[0] and market.state is not MarketState.CANCELLED
    return by_program(
        error,
        f"The market is {market.state.name}, not {names}.",
        f"Wait until the market is {names}." if is_early else "",
    )


_TRADE_REASONS: Final = MappingProxyType(
    {
        quotes.Cause.PROGRAM: Reason.PROGRAM,
        quotes.Cause.TOO_SMALL: Reason.TRADE_TOO_SMALL,
        quotes.Cause.OUT_OF_REACH: Reason.TRADE_TOO_LARGE,
        quotes.Cause.SALES_FAIL: Reason.SALE_UNSUPPORTED,
    }
)


def of_quote(quote: quotes.Quote, unit: str) -> Refusal | None:
    """Return the refusal of a quoted trade.

    Whether a sale can be paid for is not judged here: the simulation asks the program itself.

    Args:
        quote: Of the trade.
        unit: Of the smallest trade: ``lamports`` or ``shares``, for the remedy.
    """
    refusal = quote.refusal
    if refusal is None or refusal.cause is quotes.Cause.SALES_FAIL:
        return None
    error = refusal.error
    remedy = _ANY_TRADE if error is None else remedy_of(error.name)
    if refusal.cause is quotes.Cause.TOO_SMALL and quote.smallest is not None:
        remedy = f"Trade at least {quote.smallest} {unit}."
    elif refusal.cause is quotes.Cause.OUT_OF_REACH:
        remedy = "Buy fewer shares at once."
    return Refusal(
        reason=_TRADE_REASONS[refusal.cause],
        message=refusal.message,
        remedy=remedy,
        error=None if error is None else error.name,
        number=None if error is None else int(error),
    )


def receiver_without_rent(receiver: Pubkey) -> Refusal:
    """Return the refusal to leave an account, which is not the sender's, below its minimum."""
    return Refusal(
        reason=Reason.RECEIVER_WITHOUT_RENT,
        message=f"The account {receiver}, which is paid, would hold less than an account must.",
        remedy=f"Send 890880 lamports to {receiver} first, or trade more.",
        error="InsufficientFundsForRent",
    )


SALE_UNSUPPORTED: Final = Refusal(
    reason=Reason.SALE_UNSUPPORTED,
    message=quotes.Cause.SALES_FAIL.value,
    remedy="Buy the other side to limit the risk; claim when the market is finalized.",
)
