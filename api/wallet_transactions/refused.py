"""A refused act as an error response."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

import msgspec

from api.error_codes import ErrorCode, code_of_program_error
from api.errors import ApiError, FieldError
from zmart_pipelines.wallet_transactions.refusals import Reason, Refusal

_CODES: Final = MappingProxyType(
    {
        Reason.PROGRAM: ErrorCode.SIMULATION_FAILED,
        Reason.TRADE_TOO_SMALL: ErrorCode.TRADE_TOO_SMALL,
        Reason.TRADE_TOO_LARGE: ErrorCode.TRADE_TOO_LARGE,
        Reason.SALE_UNSUPPORTED: ErrorCode.SALE_UNSUPPORTED,
        Reason.ALREADY_VOTED: ErrorCode.ALREADY_VOTED,
        Reason.MARKET_EXISTS: ErrorCode.MARKET_EXISTS,
        Reason.NO_CHANGE: ErrorCode.NO_CHANGE,
        Reason.RECEIVER_WITHOUT_RENT: ErrorCode.SIMULATION_FAILED,
    }
)


def code_of(refusal: Refusal) -> ErrorCode:
    """Return a refusal's code for programs."""
    if refusal.reason is Reason.PROGRAM and refusal.error is not None:
        return code_of_program_error(refusal.error)
    return _CODES[refusal.reason]


class RefusedTransaction(msgspec.Struct, frozen=True):
    """Why the chain would refuse a transaction now, and what helps."""

    code: ErrorCode
    message: str
    remedy: str
    program_error: str | None
    program_error_number: int | None


def refused_transaction(refusal: Refusal) -> RefusedTransaction:
    """Return a refusal as clients read it where it is not an error."""
    return RefusedTransaction(
        code_of(refusal), refusal.message, refusal.remedy, refusal.error, refusal.number
    )


def refused(refusal: Refusal) -> ApiError:
    """Return the 409 of a refused act: the reason, the program's error, and what helps."""
    members: dict[str, Any] = {
        "program_error": refusal.error,
        "program_error_number": refusal.number,
        "remedy": refusal.remedy or None,
    }
    text = f"{refusal.message} {refusal.remedy}".rstrip()
    return ApiError(
        409,
        f"The transaction would be refused: {text}",
        FieldError(refusal.argument or "transaction", refusal.message),
        code=code_of(refusal),
        extra={name: value for name, value in members.items() if value is not None},
    )
