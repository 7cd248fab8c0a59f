"""Wallets that sign in through the API, for the tests of what follows."""

from __future__ import annotations

from typing import Any

import httpx
from solders.keypair import Keypair

ORIGIN = "http://localhost:3001"


def signed_text(client: httpx.Client, wallet: Keypair, **headers: str) -> dict[str, Any]:
    """The body of ``POST /api/auth/verify``: a fresh text, signed."""
    address = str(wallet.pubkey())
    answer = client.post("/api/auth/nonce", json={"wallet": address}, headers=headers)
    assert answer.status_code == 200, answer.text
    message = answer.json()["message"]
    signature = wallet.sign_message(message.encode())
    return {"message": message, "signature": str(signature), "wallet": address}


def sign_in(client: httpx.Client, wallet: Keypair) -> dict[str, Any]:
    """The tokens of a new session."""
    answer = client.post("/api/auth/verify", json=signed_text(client, wallet))
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    """The header of a request of the session."""
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def session_of(client: httpx.Client, wallet: Keypair) -> dict[str, str]:
    """Sign in; the header of the session's requests."""
    return bearer(sign_in(client, wallet))
