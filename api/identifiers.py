"""Names in paths, queries and bodies: market ids, addresses, wallets, signatures.

A market is named by its id (64 hex digits) or its account's address (base58); every
route takes either.
"""

from __future__ import annotations

import re

from solders.pubkey import Pubkey
from solders.signature import Signature

from api.errors import invalid

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
_SIGNATURE = re.compile(r"[1-9A-HJ-NP-Za-km-z]{64,88}")


def market_key(text: str, field: str = "market_id") -> bytes:
    """``text``, a market's id or address, as its 32 bytes; ApiError 400 naming ``field``
    otherwise. Which of the two it is shows in the tables.
    """
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    if _BASE58.fullmatch(text):
        try:
            return bytes(Pubkey.from_string(text))
        except ValueError:
            pass
    raise invalid(field, "must be a market id (64 hex digits) or a market's base58 address")


def wallet(text: str, field: str = "wallet") -> bytes:
    """``text`` as a wallet's 32 bytes; ApiError 400 naming ``field`` otherwise."""
    if _BASE58.fullmatch(text):
        try:
            return bytes(Pubkey.from_string(text))
        except ValueError:
            pass
    raise invalid(field, "must be a base58 wallet address of 32 bytes")


def signature(text: str, field: str = "signature") -> bytes:
    """``text`` as an ed25519 signature's 64 bytes; ApiError 400 naming ``field`` otherwise."""
    if _SIGNATURE.fullmatch(text):
        try:
            return bytes(Signature.from_string(text))
        except ValueError:
            pass
    raise invalid(field, "must be a base58 signature of 64 bytes")
