"""Wallets that are signed in, and get tickets for their private channels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
from solders.keypair import Keypair

from tests.api.signing_in import session_of

_SECONDS = 10


class SignedInWallets:
    """The sessions of some wallets; one that has expired is replaced by a new one.

    Attributes:
        addresses: Of the wallets.
    """

    def __init__(self, api: str, wallets: Sequence[Keypair]) -> None:
        """Sign all of them in."""
        self._api = api
        self._wallets = {str(wallet.pubkey()): wallet for wallet in wallets}
        self.addresses = list(self._wallets)
        self._headers = {address: self._sign_in(address) for address in self.addresses}
        self._signing_in = asyncio.Lock()

    async def ticket(self, address: str) -> str | None:
        """Return a ticket for a socket of the wallet; None where the API does not answer."""
        headers = self._headers[address]
        try:
            async with httpx.AsyncClient(base_url=self._api, timeout=_SECONDS) as client:
                answer = await client.post("/api/realtime/tickets", headers=headers)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                await self._renew(address, headers)
        except httpx.HTTPError:
            return None
        if answer.status_code != httpx.codes.CREATED:
            return None
        return str(answer.json()["ticket"])

    async def _renew(self, address: str, refused: dict[str, str]) -> None:
        async with self._signing_in:
            if self._headers[address] is refused:
                self._headers[address] = await asyncio.to_thread(self._sign_in, address)

    def _sign_in(self, address: str) -> dict[str, str]:
        # Each from an address of its own, because sign-ins of one address are limited.
        transport = httpx.HTTPTransport(
            local_address=f"127.4.0.{self.addresses.index(address) + 1}"
        )
        with httpx.Client(base_url=self._api, transport=transport, timeout=60) as client:
            return session_of(client, self._wallets[address])
