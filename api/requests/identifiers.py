"""Parse identifiers in paths, queries and bodies: markets, wallets, signatures.

A market is named by its id (64 hex digits) or its account's address (base58); every
route accepts either. A malformed identifier is a 400 in a query or a body; in a path it is a 404,
because nothing can have that name.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from solders.pubkey import Pubkey
from solders.signature import Signature

from api.errors import ApiError, invalid, not_found
from zmart_pipelines.ipfs.cid import is_cid_v0

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


def comment_id(text: str, field: str = "discussion") -> UUID:
    """Return a comment's or draft's id; raise ApiError 400 naming ``field`` otherwise."""
    try:
        return UUID(text)
    except ValueError as error:
        raise invalid(field, "must be a UUID") from error


def session_id(text: str, field: str = "session") -> UUID:
    """Return a session's id; raise ApiError 400 naming ``field`` otherwise."""
    return comment_id(text, field)


def cid(text: str, field: str = "cid") -> str:
    """Return a file's CIDv0; raise ApiError 400 naming ``field`` otherwise."""
    if not is_cid_v0(text):
        raise invalid(field, "must be a CIDv0 (Qm and 44 more base58 characters)")
    return text


def base64_bytes(text: str, field: str = "transaction") -> bytes:
    """Return what the base64 holds; raise ApiError 400 naming ``field`` unless it is canonical."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise invalid(field, "must be base64") from error
    if base64.b64encode(data).decode() != text:
        raise invalid(field, "must be canonical base64, with its padding")
    return data


# What a parameter of a path identifies, by the parameter's name, and how it is parsed.
_IN_PATHS: Final[Mapping[str, tuple[str, Callable[[str, str], Any]]]] = MappingProxyType(
    {
        "market": ("Market", market_key),
        "wallet": ("Wallet", wallet),
        "discussion": ("Discussion", comment_id),
        "draft": ("Draft", comment_id),
        "session": ("Session", session_id),
        "signature": ("Transaction", signature),
        "cid": ("File", cid),
    }
)


def require_in_path(parameter: str, text: str) -> None:
    """Raise ApiError 404 where the parameter of a path cannot be what its name says."""
    if parameter not in _IN_PATHS:
        return
    resource, parse = _IN_PATHS[parameter]
    try:
        parse(text, parameter)
    except ApiError as error:
        raise not_found(resource, *error.fields) from error
