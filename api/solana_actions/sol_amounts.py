"""Amounts as people type them: SOL, with a point and at most nine decimals. Exact."""

from __future__ import annotations

import re
from typing import Final

from api.errors import invalid
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.wallet_transactions.amounts import MAX_LAMPORTS

PATTERN: Final = r"^[0-9]{1,7}(\.[0-9]{1,9})?$"
_DECIMALS: Final = 9


def lamports(text: str, field: str = "amount") -> int:
    """Return an amount of SOL in lamports.

    Raises:
        ApiError: 400 naming ``field`` where it is no amount, zero, or more than a million SOL.
    """
    if not re.fullmatch(PATTERN, text, re.ASCII):
        raise invalid(field, "must be an amount of SOL such as 0.5, with at most 9 decimals")
    whole, _, fraction = text.partition(".")
    amount = int(whole) * PRECISION + int(fraction.ljust(_DECIMALS, "0"))
    if not 0 < amount <= MAX_LAMPORTS:
        raise invalid(field, f"must be above 0 and at most {MAX_LAMPORTS // PRECISION} SOL")
    return amount
