"""A client of the API as wallets use it over HTTP."""

from __future__ import annotations

import secrets
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from zmart_pipelines.voting.ballot import BallotText, Kind

BALLOT_LIFE = timedelta(minutes=5)


class ApiRefused(Exception):
    """The API responded with an error; ``status`` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status


class ApiClient:
    """A client of the running API."""

    def __init__(
        self, url: str, program: Pubkey, network: str, key: SecretStr | None = None
    ) -> None:
        """Call the API at ``url``, with a service key where its limits must not hold."""
        headers = {"X-Api-Key": key.get_secret_value()} if key is not None else {}
        self._http = httpx.Client(base_url=url, timeout=10, trust_env=False, headers=headers)
        self._program = program
        self._network = network

    def draft(self, creator: Keypair, market: dict[str, Any]) -> tuple[bytes, bytes]:
        """Submit a market's question; return its id and the unsigned create transaction."""
        response = self._write(creator, "/api/markets", market)
        return bytes.fromhex(response["market"]["id"]), b64decode(response["transaction"])

    def market(self, market_id: bytes) -> dict[str, Any] | None:
        """Return a market's row, None while the API does not know it."""
        try:
            row: dict[str, Any] = self._get(f"/api/markets/{market_id.hex()}")
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise
        return row

    def voters(self, market_id: bytes, kind: Kind) -> set[str]:
        """Return the wallets whose ballots of that kind are counted."""
        response = self._get(f"/api/markets/{market_id.hex()}/votes", type=kind)
        return {row["user_wallet"] for row in response["votes"]}

    def vote(self, wallet: Keypair, market_id: bytes, kind: Kind, choice: bool) -> None:
        """Sign and submit a ballot. A ballot that was submitted before is not an error."""
        text = BallotText(
            program=bytes(self._program),
            network=self._network,
            market_id=market_id,
            kind=kind,
            round=0,
            choice=choice,
            nonce=secrets.token_urlsafe(12),
            expires=datetime.now(UTC) + BALLOT_LIFE,
        ).compose()
        body = {"market_id": market_id.hex(), "vote": choice} | sign(wallet, text)
        try:
            self._send("POST", f"/api/votes/{kind}", body)
        except ApiRefused as error:
            if error.status != 409:
                raise

    def comments(self, market_id: bytes) -> list[str]:
        """Return the wallets that commented, one entry per comment."""
        response = self._get(f"/api/discussions/{market_id.hex()}", limit=100)
        return [row["user_wallet"] for row in response["discussions"]]

    def comment(self, wallet: Keypair, market_id: bytes, content: str) -> None:
        """Post a comment."""
        self._write(wallet, "/api/discussions", {"market_id": market_id.hex(), "content": content})

    def _write(self, wallet: Keypair, path: str, body: dict[str, Any]) -> Any:
        """Get the text to sign for this body, sign it and send both."""
        text = self._send("POST", f"{path}/message", body)["message"]
        return self._send("POST", path, body | sign(wallet, text))

    def _get(self, path: str, **query: Any) -> Any:
        return self._read(self._http.get(path, params=query))

    def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return self._read(self._http.request(method, path, json=body))

    @staticmethod
    def _read(response: httpx.Response) -> Any:
        if response.is_success:
            return response.json()
        try:
            message = str(response.json().get("message", response.text))
        except ValueError:
            message = response.text
        raise ApiRefused(response.status_code, message[:300])


def sign(wallet: Keypair, message: str) -> dict[str, str]:
    """Return the members of a body that sign this message."""
    return {
        "message": message,
        "signature": str(wallet.sign_message(message.encode())),
        "wallet": str(wallet.pubkey()),
    }
