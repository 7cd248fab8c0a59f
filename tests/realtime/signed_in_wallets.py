"""Wallets that are signed in, and get tickets for their private channels."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from solders.keypair import Keypair

from tests.api.signing_in import session_of

_SECONDS = 10


class SignedInWallets:
    """The sessions of some wallets.

    Attributes:
        addresses: Of the wallets.
    """

    def __init__(self, api: str, wallets: Sequence[Keypair]) -> None:
        """Sign all of them in."""
        self._api = api
        self._headers: dict[str, dict[str, str]] = {}
        for number, wallet in enumerate(wallets):
            # Each from an address of its own, because sign-ins of one address are limited.
            transport = httpx.HTTPTransport(local_address=f"127.4.0.{number + 1}")
            with httpx.Client(base_url=api, transport=transport, timeout=60) as client:
                self._headers[str(wallet.pubkey())] = session_of(client, wallet)
        self.addresses = list(self._headers)

    async def ticket(self, address: str) -> str | None:
        """Return a ticket for a socket of the wallet; None where the API does not answer."""
        try:
            async with httpx.AsyncClient(base_url=self._api, timeout=_SECONDS) as client:
                answer = await client.post("/api/realtime/tickets", headers=self._headers[address])
        except httpx.HTTPError:
            return None
        if answer.status_code != httpx.codes.CREATED:
            return None
        return str(answer.json()["ticket"])
