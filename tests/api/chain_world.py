"""A local chain with an API before it, and a funded wallet."""

from __future__ import annotations

import base64
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.api.seed import SOL, address_of
from tests.api.wallets import signed
from tests.fixtures.localnet import Localnet
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.program import instructions
from zmart_pipelines.settings import Settings

Client = TestClient[Litestar]
MARKET: dict[str, Any] = {
    "question": "Will it rain in Ghent tomorrow?",
    "description": "By the station at Melle.",
    "category": "science",
    "tags": ["rain", "ghent", "rain"],
    "end_date": "2031-01-01T02:00:00+02:00",
    "liquidity": SOL // 10,
    "b_parameter": 100 * SOL,
}


class World:
    """An API on a local chain, and a funded wallet."""

    def __init__(self, settings: Settings, chain: Localnet, client: Client) -> None:
        self.settings = settings
        self.chain = chain
        self.client = client
        self.rpc = RpcClient(chain.rpc_url, 10)
        self.wallet = Keypair()
        chain.airdrop(self.wallet.pubkey(), 100 * SOL)

    def draft(self, headers: dict[str, str] | None = None, **over: Any) -> Any:
        """POST /api/markets."""
        body = signed(self.client, self.wallet, "/api/markets", MARKET | over)
        return self.client.post("/api/markets", json=body, headers=headers)

    def sign_and_send(self, unsigned: str) -> bytes:
        """What a wallet does with the API's transaction; the signature."""
        message = VersionedTransaction.from_bytes(base64.b64decode(unsigned)).message
        signature = self.rpc.send(bytes(VersionedTransaction(message, [self.wallet])))
        self.chain.control.advance()
        return signature

    def send(self, instruction: Any, *signers: Keypair) -> bytes:
        """Run an instruction; the signature."""
        recent = self.rpc.latest_blockhash("confirmed").hash
        signature = self.rpc.send(
            build_transaction(signers[0].pubkey(), [instruction], recent, signers)
        )
        self.chain.control.advance()
        return signature

    def deliver(self, signature: bytes) -> dict[str, Any]:
        """Hand the API the transaction as Helius would."""
        raw = self.rpc.transaction(signature, "confirmed")
        assert raw is not None
        secret = self.settings.helius_webhook_secret
        assert secret is not None
        answer = self.client.post(
            "/api/webhooks/helius",
            content=raw,
            headers={"Authorization": secret.get_secret_value()},
        )
        assert answer.status_code == 200, answer.text
        answered: dict[str, Any] = answer.json()
        return answered

    def open(self, market_id: bytes) -> None:
        """From Proposed to Active."""
        program, keys = self.settings.program, self.chain.keys
        address = Pubkey.from_string(address_of(market_id))
        for instruction, signer in (
            (
                instructions.aggregate_proposal_votes(
                    program,
                    backend_authority=keys["backend"].pubkey(),
                    market=address,
                    likes=9,
                    dislikes=1,
                ),
                keys["backend"],
            ),
            (
                instructions.approve_proposal(
                    program, admin=keys["admin"].pubkey(), market=address
                ),
                keys["admin"],
            ),
            (
                instructions.activate_market(
                    program, authority=keys["admin"].pubkey(), market=address
                ),
                keys["admin"],
            ),
        ):
            self.deliver(self.send(instruction, signer))
