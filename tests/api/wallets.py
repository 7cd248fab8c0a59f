"""Signed requests of a wallet."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from solders.keypair import Keypair

SIGN_IN = "Sign this message to authenticate with ZMART"


def milliseconds(seconds_ago: float = 0) -> int:
    """A time as the sign-in texts give it."""
    return int((time.time() - seconds_ago) * 1000)


def proof(wallet: Keypair, message: str) -> dict[str, Any]:
    """The three fields of a body."""
    return {
        "message": message,
        "signature": str(wallet.sign_message(message.encode())),
        "wallet": str(wallet.pubkey()),
    }


def signed_in(wallet: Keypair, seconds_ago: float = 0) -> dict[str, Any]:
    """The three fields, for the sign-in text of older servers."""
    return proof(wallet, f"{SIGN_IN}\n\nTimestamp: {milliseconds(seconds_ago)}")


def header(wallet: Keypair, seconds_ago: float = 0) -> dict[str, str]:
    """The header as the frontend sends it."""
    parts = proof(wallet, f"Sign in to ZMART\nTimestamp: {milliseconds(seconds_ago)}")
    message = quote(parts["message"], safe="")
    return {
        "Authorization": f"Signature message={message}&signature={parts['signature']}"
        f"&wallet={parts['wallet']}"
    }
