"""Signed requests of a wallet."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import httpx
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
    return in_header(proof(wallet, f"Sign in to ZMART\nTimestamp: {milliseconds(seconds_ago)}"))


def in_header(parts: dict[str, Any]) -> dict[str, str]:
    """The three fields in the header."""
    message = quote(parts["message"], safe="")
    return {
        "Authorization": f"Signature message={message}&signature={parts['signature']}"
        f"&wallet={parts['wallet']}"
    }


def signed(
    client: httpx.Client, wallet: Keypair, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A body with the wallet's proof of exactly this write; without a body, of a deletion."""
    if body is None:
        answer = client.get(f"{path}/message")
    else:
        answer = client.post(f"{path}/message", json=body)
    assert answer.status_code == 200, answer.text
    return (body or {}) | proof(wallet, answer.json()["message"])
