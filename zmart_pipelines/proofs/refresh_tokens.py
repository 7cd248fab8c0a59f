"""Refresh tokens: what they look like, what is stored of them, and which one follows which.

A token is ``zrt_`` and 86 URL-safe characters: the wallet's 32 bytes, so that the database can be
asked as that wallet, and 256 secret bits. Only its SHA-256 is stored.

The successor of a token is computed from it and from a secret of the server. A client whose
connection broke before it received the successor can so be given the same one again, and a session
never has two tokens that are good for use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

import msgspec

PREFIX: Final = "zrt_"
_FORM: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{86}}")
_WALLET_BYTES: Final = 32
_SECRET_BYTES: Final = 32


class RefreshToken(msgspec.Struct, frozen=True):
    """A token: the wallet whose session it continues (32 bytes) and the secret (32 bytes)."""

    wallet: bytes
    secret: bytes

    @property
    def text(self) -> str:
        """The token as clients have it."""
        data = base64.urlsafe_b64encode(self.wallet + self.secret).rstrip(b"=")
        return PREFIX + data.decode()

    @property
    def hash(self) -> bytes:
        """What is stored of it: 32 bytes."""
        return hashlib.sha256(self.wallet + self.secret).digest()

    def successor(self, key: bytes) -> RefreshToken:
        """Return the token that follows; ``key`` is the server's secret."""
        secret = hmac.digest(key, self.wallet + self.secret, "sha256")
        return RefreshToken(self.wallet, secret)


def new_token(wallet: bytes) -> RefreshToken:
    """Return the first token of a session."""
    return RefreshToken(wallet, secrets.token_bytes(_SECRET_BYTES))


def parse(text: str) -> RefreshToken | None:
    """Return the token that the text is; None where it has another form."""
    if not _FORM.fullmatch(text):
        return None
    data = base64.urlsafe_b64decode(text[len(PREFIX) :] + "==")
    token = RefreshToken(data[:_WALLET_BYTES], data[_WALLET_BYTES:])
    # The last character holds unused bits: of the texts that decode alike, one is the token.
    return token if token.text == text else None
