"""The program's errors by number, and names for those of Anchor and the System program.

Numbers differ between builds of the program: compare by name, and determine what happened from
the account rather than from the error.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from zmart_pipelines.program import idl


class ProgramError(IntEnum):
    """Errors the program defines, named as in its interface."""

    InvalidFeeConfiguration = 6000
    InvalidThreshold = 6001
    InvalidTimeLimit = 6002
    AlreadyInitialized = 6003
    InvalidFeeStructure = 6004
    InvalidGlobalConfig = 6005
    InvalidStateTransition = 6006
    InvalidMarketState = 6007
    MarketPaused = 6008
    MarketCancelled = 6009
    ProtocolPaused = 6010
    CannotCancelMarket = 6011
    MarketAlreadyCancelled = 6012
    ZeroAmount = 6013
    InsufficientShares = 6014
    SlippageExceeded = 6015
    InsufficientLiquidity = 6016
    InvalidLiquidity = 6017
    TradeTooSmall = 6018
    ResolutionPeriodNotEnded = 6019
    DisputePeriodEnded = 6020
    NoResolutionProposed = 6021
    AlreadyClaimed = 6022
    NoWinnings = 6023
    NoVotesRecorded = 6024
    InsufficientVotes = 6025
    AlreadyResolved = 6026
    DisputePeriodNotEnded = 6027
    AlreadyDisputed = 6028
    Unauthorized = 6029
    InvalidAdmin = 6030
    InvalidResolver = 6031
    InsufficientReputation = 6032
    OverflowError = 6033
    UnderflowError = 6034
    DivisionByZero = 6035
    InvalidFixedPoint = 6036
    InvalidLogarithm = 6037
    ExponentialOverflow = 6038
    ExponentTooLarge = 6039
    InvalidInput = 6040
    BoundedLossExceeded = 6041
    InvalidBParameter = 6042
    InvalidMarketId = 6043
    InvalidTimestamp = 6044
    InvalidIpfsHash = 6045
    InsufficientFunds = 6046
    WouldBreakRentExemption = 6047
    Reentrant = 6048
    InvalidReservedField = 6049
    AlreadyVoted = 6050
    InvalidStateForVoting = 6051

    @property
    def message(self) -> str:
        """The error's meaning."""
        return _MESSAGES[self]


_MESSAGES: Final = {error.code: error.msg for error in idl.load().errors}

# Errors raised before the program's own code runs (anchor-lang's ErrorCode), and those that the
# System program returns to it, which reuse small numbers.
_OTHERS: Final = {
    0: "AccountAlreadyInUse",
    1: "ResultWithNegativeLamports",
    100: "InstructionMissing",
    101: "InstructionFallbackNotFound",
    102: "InstructionDidNotDeserialize",
    103: "InstructionDidNotSerialize",
    2000: "ConstraintMut",
    2001: "ConstraintHasOne",
    2002: "ConstraintSigner",
    2003: "ConstraintRaw",
    2004: "ConstraintOwner",
    2005: "ConstraintRentExempt",
    2006: "ConstraintSeeds",
    2012: "ConstraintAddress",
    2019: "ConstraintSpace",
    3000: "AccountDiscriminatorAlreadySet",
    3001: "AccountDiscriminatorNotFound",
    3002: "AccountDiscriminatorMismatch",
    3003: "AccountDidNotDeserialize",
    3004: "AccountDidNotSerialize",
    3005: "AccountNotEnoughKeys",
    3006: "AccountNotMutable",
    3007: "AccountOwnedByWrongProgram",
    3008: "InvalidProgramId",
    3009: "InvalidProgramExecutable",
    3010: "AccountNotSigner",
    3011: "AccountNotSystemOwned",
    3012: "AccountNotInitialized",
    3014: "AccountNotProgramData",
    3017: "AccountDuplicateReallocs",
    4100: "DeclaredProgramIdMismatch",
}


def name_of(code: int) -> str:
    """Return the name of a custom error of the program; ``Custom(n)`` where unknown."""
    if code in _MESSAGES:
        return ProgramError(code).name
    return _OTHERS.get(code, f"Custom({code})")


_NUMBERS: Final = {name: code for code, name in _OTHERS.items()} | {
    error.name: int(error) for error in ProgramError
}


def number_of(name: str) -> int | None:
    """Return the number of a custom error with this name; None for the runtime's own errors."""
    return _NUMBERS.get(name)


def custom_code(error: object) -> int | None:
    """Return the number in a transaction error as RPC returns it, or None where it has none.

    The shape is ``{"InstructionError": [index, {"Custom": number}]}``.
    """
    if not isinstance(error, dict):
        return None
    detail = error.get("InstructionError")
    if not isinstance(detail, list) or len(detail) != 2 or not isinstance(detail[1], dict):
        return None
    code = detail[1].get("Custom")
    return code if isinstance(code, int) else None


def describe(error: object) -> str:
    """Return a short text for a transaction error as RPC returns it, for users and alerts."""
    code = custom_code(error)
    if code is not None:
        return name_of(code)
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        detail = error.get("InstructionError")
        if isinstance(detail, list) and len(detail) == 2:
            return str(detail[1])
        return ", ".join(str(key) for key in error)
    return str(error)
