"""Keys of services that call the API: their form, and what of them is stored.

A key is ``zmart_`` and 43 URL-safe characters, which hold 256 random bits. Only its SHA-256 is
stored: a value that cannot be guessed needs no slower hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

PREFIX: Final = "zmart_"
# Characters that are stored and shown, so that people recognise a key.
SHOWN: Final = len(PREFIX) + 6
# The scope of keys whose requests are not limited.
UNLIMITED: Final = "unlimited"
# The scope of keys that may do what only operators may.
OPERATOR: Final = "operator"
# The scope of keys that read the private rows of their wallet.
READ: Final = "read"
# The scope of keys that have transactions prepared and relayed.
TRADE: Final = "trade"
SCOPES: Final = (UNLIMITED, OPERATOR, READ, TRADE)

_FORM: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_key() -> str:
    """Return a new key."""
    return PREFIX + secrets.token_urlsafe(32)


def is_key(text: str) -> bool:
    """Return whether the text has the form of a key."""
    return _FORM.fullmatch(text) is not None


def key_hash(key: str) -> bytes:
    """Return what is stored of a key: 32 bytes."""
    return hashlib.sha256(key.encode()).digest()
