"""Histories of the program, executed by its reference model, as raw transactions."""

from __future__ import annotations

import copy
import random
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from tests.ledger.random_actions import random_action
from tests.reference_model.account_frame import Cell
from tests.reference_model.model import Model
from zmart_pipelines import base58
from zmart_pipelines.chain.transactions import ProgramInstruction, RawTransaction
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import (
    MarketAccount,
    UserPosition,
    decode_account,
    decode_as,
)
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.events import Event, encode_event
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID

PROGRAM: Final = DEFAULT_PROGRAM_ID
SOL = 10**9
B = 100 * SOL
START = 1_790_000_000
WINDOW = 60


def key(name: str) -> Pubkey:
    return Pubkey(blake2b(name.encode(), digest_size=32).digest())


def signature(*parts: object) -> bytes:
    return blake2b(repr(parts).encode(), digest_size=64).digest()


def identity(number: int) -> bytes:
    return blake2b(b"market" + number.to_bytes(8, "big"), digest_size=32).digest()


def address(market_id: bytes) -> Pubkey:
    return market_address(PROGRAM, market_id)[0]


def logs_of(events: Sequence[Event]) -> list[str]:
    """Return the log of a transaction with one instruction of the program per event."""
    lines = []
    for event in events:
        lines += [
            f"Program {PROGRAM} invoke [1]",
            "Program log: Instruction: Something",
            f"Program data: {b64encode(encode_event(event)).decode()}",
            f"Program {PROGRAM} consumed 9000 of 200000 compute units",
            f"Program {PROGRAM} success",
        ]
    return lines


class Recorder:
    """A simulated cluster that records every transaction. One slot each by default."""

    def __init__(self, name: str = "chain", *, configured: bool = True) -> None:
        self.name = name
        self.model = Model(PROGRAM)
        self.now = START
        self.slot = 100
        self.index = 0
        self.transactions: list[RawTransaction] = []
        self.admin, self.backend, self.fees = key("admin"), key("backend"), key("fees")
        self.users = [key(f"user {number}") for number in range(6)]
        self.market_ids: list[bytes] = []
        for wallet in (self.admin, self.backend, self.fees, *self.users):
            self.model.cells[wallet] = Cell(10_000 * SOL)
        if configured:
            self.initialize()

    def send(self, *instructions: Instruction, payer: Pubkey | None = None) -> RawTransaction:
        """Execute one transaction; all of its instructions take effect, or none."""
        who = payer or next(m.pubkey for m in instructions[0].accounts if m.is_signer)
        before = {one: copy.copy(cell) for one, cell in self.model.cells.items()}
        events: list[Event] = []
        error: Any = None
        for number, instruction in enumerate(instructions):
            result = self.model.process(instruction, who, self.now)
            if result.error is not None or result.rent_broken or result.unpaid:
                error = {"InstructionError": [number, {"Custom": result.error or 1}]}
                break
            events += result.events
        logs = logs_of(events)
        if error is not None:
            self.model.cells = before
            # The events of a failed transaction stay in its log.
            logs = [*logs, f"Program {PROGRAM} invoke [1]"]
            logs.append(f"Program {PROGRAM} failed: custom program error: 0x1")
        transaction = RawTransaction(
            signature_text=base58.encode(signature(self.name, len(self.transactions))),
            slot=self.slot,
            index_in_block=self.index,
            block_time=self.now,
            error=error,
            fee=5000,
            logs=logs,
            instructions=[
                ProgramInstruction(
                    place, None, [str(m.pubkey) for m in one.accounts], bytes(one.data)
                )
                for place, one in enumerate(instructions)
            ],
        )
        self.transactions.append(transaction)
        self.index += 1
        return transaction

    def advance(self, seconds: int = 1, slots: int = 1) -> None:
        self.now += seconds
        self.slot += slots
        self.index = 0

    def initialize(self) -> None:
        self.send(
            ix.initialize_global_config(
                PROGRAM,
                admin=self.admin,
                backend_authority=self.backend,
                protocol_fee_wallet=self.fees,
            )
        )
        self.advance()
        self.configure()
        self.advance()

    def configure(self, fees: tuple[int, int, int] = (300, 200, 500)) -> RawTransaction:
        return self.send(
            ix.update_global_config(
                PROGRAM,
                admin=self.admin,
                protocol_fee_bps=fees[0],
                resolver_reward_bps=fees[1],
                liquidity_provider_fee_bps=fees[2],
                proposal_approval_threshold=7000,
                dispute_success_threshold=6000,
                min_resolution_delay=30,
                dispute_period=WINDOW,
            )
        )

    def create(self, number: int, creator: Pubkey | None = None, **over: Any) -> bytes:
        market_id = identity(number)
        self.send(self.creation(market_id, creator, **over))
        self.market_ids.append(market_id)
        self.advance()
        return market_id

    def creation(self, market_id: bytes, creator: Pubkey | None = None, **over: Any) -> Instruction:
        return ix.create_market(
            PROGRAM,
            creator=creator or self.users[0],
            market_id=market_id,
            b_parameter=over.get("b", B),
            initial_liquidity=over.get("liquidity", SOL // 10),
            question_hash=over.get("question_hash", b"Qm" + market_id.hex().encode()[:44]),
        )

    def open(self, market_id: bytes) -> None:
        """From Proposed to Active."""
        market = address(market_id)
        self.send(
            ix.aggregate_proposal_votes(
                PROGRAM, backend_authority=self.backend, market=market, likes=9, dislikes=1
            )
        )
        self.advance()
        self.send(ix.approve_proposal(PROGRAM, admin=self.admin, market=market))
        self.advance()
        self.send(ix.activate_market(PROGRAM, authority=self.admin, market=market))
        self.advance()

    def buying(
        self, market_id: bytes, user: Pubkey, outcome: bool = True, cost: int = SOL
    ) -> Instruction:
        return ix.buy_shares(
            PROGRAM,
            user=user,
            market=address(market_id),
            protocol_fee_wallet=self.fees,
            outcome=outcome,
            target_cost=cost,
        )

    def buy(
        self, market_id: bytes, user: Pubkey, outcome: bool = True, cost: int = SOL
    ) -> RawTransaction:
        return self.send(self.buying(market_id, user, outcome, cost))

    def market(self, market_id: bytes) -> MarketAccount:
        return decode_as(MarketAccount, self.model.cells[address(market_id)].data)

    def markets(self) -> dict[bytes, MarketAccount]:
        """Every market account, by id."""
        found = {}
        for cell in self.model.cells.values():
            account = decode_account(cell.data) if cell.data else None
            if isinstance(account, MarketAccount):
                found[account.market_id] = account
        return found

    def positions(self, market_id: bytes) -> dict[bytes, UserPosition]:
        """Every position account of a market, by user."""
        found = {}
        for cell in self.model.cells.values():
            account = decode_account(cell.data) if cell.data else None
            if isinstance(account, UserPosition) and account.market == bytes(address(market_id)):
                found[account.user] = account
        return found

    def random_step(self, dice: random.Random) -> None:
        """Try a random action; the program refuses many of them, as on the real chain."""
        if dice.random() < 0.6:
            self.advance(dice.choice((1, 1, 2, WINDOW)), dice.randint(1, 3))
        if not self.market_ids or dice.random() < 0.08:
            self.create(len(self.market_ids) + 1, dice.choice(self.users))
            return
        market_id = dice.choice(self.market_ids)
        self.send(*random_action(dice, self, market_id, WINDOW))


@cache
def history(seed: int, steps: int) -> Recorder:
    """Return a random history, the same for the same seed; do not extend it."""
    dice = random.Random(seed)
    chain = Recorder(f"history {seed}")
    for _ in range(steps):
        chain.random_step(dice)
    return chain
