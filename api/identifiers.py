"""Parse identifiers in paths, queries and bodies: markets, wallets, signatures.

A market is named by its id (64 hex digits) or its account's address (base58); every
route accepts either.
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
    """Return the 32 bytes of a market's id or address.

    Only the tables tell which of the two it is.

    Raises:
        ApiError: 400 naming ``field`` where ``text`` is neither.
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
    """Return the 32 bytes of a wallet's address; raise ApiError 400 naming ``field`` otherwise."""
    if _BASE58.fullmatch(text):
        try:
            return bytes(Pubkey.from_string(text))
        except ValueError:
            pass
    raise invalid(field, "must be a base58 wallet address (32 bytes)")


def signature(text: str, field: str = "signature") -> bytes:
    """Return a signature's 64 bytes; raise ApiError 400 naming ``field`` otherwise."""
    if _SIGNATURE.fullmatch(text):
        try:
            return bytes(Signature.from_string(text))
        except ValueError:
            pass
    raise invalid(field, "must be a base58 ed25519 signature (64 bytes)")
