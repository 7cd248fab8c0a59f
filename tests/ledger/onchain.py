"""Wallets that act on a local chain, and what the ledger stores of it."""

from __future__ import annotations

import random
from typing import Any

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import Engine, select

from tests.fixtures.localnet import Localnet
from tests.ledger.recorded_rpc import PROGRAM, SOL, B, address, identity
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import Commitment
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.ledger.audit import rebuild
from zmart_pipelines.ledger.audit.reconcile import compare_accounts
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.store.tables import chain as tables


class Stage:
    """A local chain and three funded wallets that act on it."""

    def __init__(self, chain: Localnet, blockhashes: Commitment = "processed") -> None:
        """Fund the wallets.

        Args:
            blockhashes: commitment of the blockhash to sign with; a finalized one outlives
                every fork.
        """
        self.chain = chain
        self.blockhashes: Commitment = blockhashes
        self.rpc = RpcClient(chain.rpc_url, 10.0)
        self.admin, self.backend = chain.keys["admin"], chain.keys["backend"]
        self.users = [Keypair() for _ in range(3)]
        self.fund()
        self.market_ids: list[bytes] = []

    def fund(self) -> None:
        """Give each wallet 100 SOL, enough for a hundred trades at random."""
        for user in self.users:
            self.chain.result("requestAirdrop", str(user.pubkey()), 100 * SOL)
        self.chain.control.advance(2)

    def send(self, instruction: Instruction, payer: Keypair) -> bytes:
        """Execute in the open slot, not confirmed yet; return the signature."""
        recent = self.rpc.latest_blockhash(self.blockhashes)
        signed = build_transaction(payer.pubkey(), [instruction], recent.hash, [payer])
        return self.rpc.send(signed, preflight_commitment="processed")

    def create(self, number: int) -> bytes:
        market_id = identity(number)
        self.send(
            ix.create_market(
                self.chain.program,
                creator=self.users[0].pubkey(),
                market_id=market_id,
                b_parameter=B,
                initial_liquidity=SOL // 10,
                question_hash=b"Qm" + b"q" * 44,
            ),
            self.users[0],
        )
        self.market_ids.append(market_id)
        self.step()
        return market_id

    def open(self, market_id: bytes) -> None:
        """From Proposed to Active."""
        market, program = address(market_id), self.chain.program
        self.send(
            ix.aggregate_proposal_votes(
                program,
                backend_authority=self.backend.pubkey(),
                market=market,
                likes=9,
                dislikes=1,
            ),
            self.backend,
        )
        self.step()
        self.send(
            ix.approve_proposal(program, admin=self.admin.pubkey(), market=market), self.admin
        )
        self.step()
        self.send(
            ix.activate_market(program, authority=self.admin.pubkey(), market=market), self.admin
        )
        self.step()

    def buying(self, market_id: bytes, user: Pubkey, outcome: bool, cost: int) -> Instruction:
        return ix.buy_shares(
            self.chain.program,
            user=user,
            market=address(market_id),
            protocol_fee_wallet=self.chain.keys["fee"].pubkey(),
            outcome=outcome,
            target_cost=cost,
        )

    def buy(self, market_id: bytes, user: int = 0, outcome: bool = True, cost: int = SOL) -> bytes:
        wallet = self.users[user]
        return self.send(self.buying(market_id, wallet.pubkey(), outcome, cost), wallet)

    def step(self, slots: int = 1) -> None:
        """Close slots and advance chain time by one second."""
        self.chain.control.advance(slots=slots, seconds=1)

    def trade_at_random(self, dice: random.Random, number: int) -> list[bytes]:
        """Buy at random in any market, several times in some slots; return the signatures."""
        found = []
        for _ in range(number):
            found.append(
                self.buy(
                    dice.choice(self.market_ids),
                    dice.randrange(len(self.users)),
                    dice.random() < 0.5,
                    dice.randrange(SOL // 20, SOL),
                )
            )
            if dice.random() < 0.6:
                self.step()
        return found


def listed(chain: Localnet) -> set[str]:
    """Return every signature of the program that the node lists at finalized."""
    rows: list[dict[str, Any]] = []
    before: str | None = None
    while True:
        options = {"commitment": "finalized", "limit": 1000, "before": before}
        page = chain.result("getSignaturesForAddress", str(PROGRAM), options)
        rows += page
        if len(page) < 1000:
            return {row["signature"] for row in rows}
        before = page[-1]["signature"]


def stored(db: Engine, *levels: str) -> set[str]:
    with db.connect() as conn:
        found = conn.execute(
            select(tables.transactions.c.signature).where(
                tables.transactions.c.commitment.in_(levels)
            )
        ).scalars()
        return {str(Signature(one)) for one in found}


def assert_ledger_matches_chain(db: Engine, stage: Stage) -> None:
    """Assert that projection, ledger and accounts agree."""
    report = compare_accounts(db, AccountReader(stage.rpc, PROGRAM))
    assert report.differences == ()
    assert report.markets == len(stage.market_ids)
    with db.connect() as conn:
        assert rebuild.verify_projection(conn, PROGRAM) == []
