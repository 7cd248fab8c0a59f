"""Tickets by which a socket signs in: their form, and what of them is stored.

A ticket is ``zmt_`` and 43 URL-safe characters, which hold 256 random bits. Only its SHA-256 is
stored.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

PREFIX: Final = "zmt_"
_FORM: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_ticket() -> str:
    """Return a new ticket."""
    return PREFIX + secrets.token_urlsafe(32)


def is_ticket(text: str) -> bool:
    """Return whether the text has the form of a ticket."""
    return _FORM.fullmatch(text) is not None


def ticket_hash(ticket: str) -> bytes:
    """Return what is stored of a ticket: 32 bytes."""
    return hashlib.sha256(ticket.encode()).digest()
