"""What the client asks of a wallet."""

from __future__ import annotations

from typing import Protocol


class Wallet(Protocol):
    """Signs on behalf of one address; its key never leaves it."""

    @property
    def address(self) -> str:
        """The wallet's address in base58."""

    def sign_message(self, message: bytes) -> bytes:
        """Return the ed25519 signature (64 bytes) of a text."""

    def sign_transaction(self, transaction: bytes) -> bytes:
        """Return the transaction with the wallet's signature in its place."""
