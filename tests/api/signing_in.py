"""Wallets that sign in through the API, for the tests of what follows."""

from __future__ import annotations

from typing import Any

import httpx
from solders.keypair import Keypair

ORIGIN = "http://localhost:3001"


def _body(answer: httpx.Response) -> dict[str, Any]:
    """The answer's body; raise HTTPStatusError with its text where it is not a success."""
    if answer.status_code != httpx.codes.OK:
        text = f"{answer.status_code}: {answer.text}"
        raise httpx.HTTPStatusError(text, request=answer.request, response=answer)
    body: dict[str, Any] = answer.json()
    return body


def signed_text(client: httpx.Client, wallet: Keypair, **headers: str) -> dict[str, Any]:
    """The body of ``POST /api/auth/verify``: a fresh text, signed."""
    address = str(wallet.pubkey())
    answer = client.post("/api/auth/nonce", json={"wallet": address}, headers=headers)
    message = _body(answer)["message"]
    signature = wallet.sign_message(message.encode())
    return {"message": message, "signature": str(signature), "wallet": address}


def sign_in(client: httpx.Client, wallet: Keypair) -> dict[str, Any]:
    """The tokens of a new session."""
    answer = client.post("/api/auth/verify", json=signed_text(client, wallet))
    return _body(answer)


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    """The header of a request of the session."""
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def session_of(client: httpx.Client, wallet: Keypair) -> dict[str, str]:
    """Sign in; the header of the session's requests."""
    return bearer(sign_in(client, wallet))
