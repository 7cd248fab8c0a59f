"""Wallets that act at random on many markets of a local chain."""

from __future__ import annotations

import random
from base64 import b64encode
from typing import Final

from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.fixtures.localnet import Localnet
from tests.ledger.random_actions import random_action
from tests.ledger.recorded_rpc import PROGRAM, SOL, B, address, identity
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import Blockhash
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketAccount, MarketState, decode_as

# A blockhash serves 150 blocks.
FRESH: Final = 60
MOST_UNITS: Final = 1_400_000
WINDOW: Final = 30
_ENDED: Final = (MarketState.FINALIZED, MarketState.CANCELLED)


class Crowd:
    """Wallets, their markets, and the signatures of what they sent.

    Attributes:
        expected: approximate number of events so far.
    """

    def __init__(self, chain: Localnet, dice: random.Random, users: int = 8) -> None:
        self.chain = chain
        self.dice = dice
        self.rpc = RpcClient(chain.rpc_url, 30)
        keys = [Keypair() for _ in range(users)]
        self.wallets = {one.pubkey(): one for one in (*keys, *chain.keys.values())}
        self.users = [one.pubkey() for one in keys]
        self.admin, self.backend = chain.keys["admin"].pubkey(), chain.keys["backend"].pubkey()
        for user in self.users:
            self.rpc.airdrop(user, 10_000 * SOL)
        chain.control.advance(2)
        self.market_ids: list[bytes] = []
        self.signatures: list[bytes] = []
        self.expected = 0
        self.slots = 0
        self.seconds = 0
        self._blockhash: Blockhash | None = None
        self._accounts: dict[bytes, MarketAccount] = {}

    def close(self) -> None:
        self.rpc.close()

    def send(self, *instructions: Instruction, payer: Pubkey | None = None) -> bytes:
        """Send one transaction; it lands in the open slot, even if it fails."""
        who = payer or next(m.pubkey for m in instructions[0].accounts if m.is_signer)
        if self._blockhash is None or self.slots % FRESH == 0:
            self._blockhash = self.rpc.latest_blockhash("processed")
        # Keeps equal transactions of one slot apart, and lets long ones pass.
        limit = set_compute_unit_limit(MOST_UNITS - len(self.signatures) % 100_000)
        signed = build_transaction(
            who, [limit, *instructions], self._blockhash.hash, [self.wallets[who]]
        )
        options = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        sent = self.rpc.call("sendTransaction", [b64encode(signed).decode(), options], Signature)
        self.signatures.append(bytes(sent))
        self.expected += len(instructions)
        return bytes(sent)

    def advance(self, slots: int = 1, seconds: int = 1) -> None:
        """Close slots and advance chain time by these seconds."""
        self.slots += slots
        self.seconds += seconds
        self.chain.control.advance(slots, seconds)
        if self.slots % FRESH < slots:
            self._blockhash = None

    def buying(
        self, market_id: bytes, user: Pubkey, outcome: bool = True, cost: int = SOL
    ) -> Instruction:
        return ix.buy_shares(
            PROGRAM,
            user=user,
            market=address(market_id),
            protocol_fee_wallet=self.chain.keys["fee"].pubkey(),
            outcome=outcome,
            target_cost=cost,
        )

    def market(self, market_id: bytes) -> MarketAccount:
        """Return the account in the open slot; state, creator and resolver are current."""
        known = self._accounts.get(market_id)
        if known is None:
            found = self.rpc.account(address(market_id), "processed").value
            assert found is not None
            known = self._accounts[market_id] = decode_as(MarketAccount, found.data)
        return known

    def create(self) -> bytes:
        """Propose a market as a random wallet."""
        market_id = identity(len(self.market_ids) + 1)
        self.send(
            ix.create_market(
                PROGRAM,
                creator=self.dice.choice(self.users),
                market_id=market_id,
                b_parameter=B,
                initial_liquidity=SOL // 10,
                question_hash=b"Qm" + market_id.hex().encode()[:44],
            )
        )
        self.market_ids.append(market_id)
        return market_id

    def open(self, number: int) -> list[bytes]:
        """Create markets that can be traded in; return their ids."""
        opened = []
        for done in range(1, number + 1):
            market_id = self.create()
            market = address(market_id)
            self.send(
                ix.aggregate_proposal_votes(
                    PROGRAM, backend_authority=self.backend, market=market, likes=9, dislikes=1
                )
            )
            self.send(ix.approve_proposal(PROGRAM, admin=self.admin, market=market))
            self.send(ix.activate_market(PROGRAM, authority=self.admin, market=market))
            opened.append(market_id)
            if done % 10 == 0 or done == number:
                self.advance()
        return opened

    def move(self) -> None:
        """Do a random action; the program refuses some of them."""
        if self.dice.random() < 0.2:
            self.advance(self.dice.randint(1, 2), self.dice.choice((1, 1, 2, WINDOW)))
        if not self.market_ids or self.dice.random() < 0.02:
            self.create()
            return
        market_id = self.dice.choice(self.market_ids)
        state = self.market(market_id).state
        if state is MarketState.ACTIVE and self.dice.random() < 0.97:
            self.trade(market_id)
        elif state not in _ENDED or self.dice.random() < 0.2:
            self.send(*random_action(self.dice, self, market_id, WINDOW))
            del self._accounts[market_id]

    def trade(self, market_id: bytes) -> None:
        """Buy as a random wallet, up to twelve times in one transaction."""
        user = self.dice.choice(self.users)
        self.send(
            *(
                self.buying(
                    market_id, user, self.dice.random() < 0.5, self.dice.randrange(10**7, SOL)
                )
                for _ in range(self.dice.choice((1, 6, 12, 12)))
            )
        )
