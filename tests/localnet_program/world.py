"""A chain with the program on it, and one function per instruction to send."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from solders.account import Account
from solders.clock import Clock
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata
from solders.transaction_status import TransactionErrorInstructionError

from localnet.program import PROGRAM_SO
from tests.localnet_program import wire
from tests.localnet_program.wire import account, flag, i64, instruction, option, u16, u32, u64

SOL = 1_000_000_000
START = 1_762_768_370
B = 100 * SOL
QUESTION = b"QmQuestion".ljust(46, b"q")
EVIDENCE = b"QmEvidence".ljust(46, b"e")
FEE = 5_000


def key(number: int) -> Keypair:
    return Keypair.from_seed(bytes([number]) * 32)


@dataclass(frozen=True)
class Outcome:
    """What became of a transaction of one instruction."""

    error: object
    logs: list[str]
    units: int

    @property
    def ok(self) -> bool:
        return self.error is None

    @property
    def code(self) -> object:
        """None, the number of a custom error, or the runtime's own error."""
        if not isinstance(self.error, TransactionErrorInstructionError):
            return self.error
        return getattr(self.error.err, "code", self.error.err)

    @property
    def events(self) -> list[bytes]:
        mark = "Program data: "
        return [base64.b64decode(x.removeprefix(mark)) for x in self.logs if x.startswith(mark)]

    @property
    def error_line(self) -> str:
        (line,) = [x for x in self.logs if "AnchorError" in x]
        return line


@dataclass
class World:
    """Keys, a clock and the accounts of one market; every call is a signed transaction."""

    program: bytes = field(default_factory=PROGRAM_SO.read_bytes)
    market_id: bytes = bytes([1]) * 32
    admin: Keypair = field(default_factory=lambda: key(101))
    backend: Keypair = field(default_factory=lambda: key(102))
    fee_wallet: Pubkey = field(default_factory=lambda: key(103).pubkey())
    creator: Keypair = field(default_factory=lambda: key(104))
    resolver: Keypair = field(default_factory=lambda: key(105))
    users: list[Keypair] = field(default_factory=lambda: [key(i) for i in range(1, 7)])
    now: int = START

    def __post_init__(self) -> None:
        self.svm.add_program(wire.PROGRAM, self.program)
        wallets = [self.admin, self.backend, self.creator, self.resolver, *self.users]
        for person in wallets:
            self.svm.airdrop(person.pubkey(), 1_000 * SOL)
        self.svm.airdrop(self.fee_wallet, SOL)
        self.set_time(self.now)

    @cached_property
    def svm(self) -> LiteSVM:
        return LiteSVM()

    @cached_property
    def config(self) -> Pubkey:
        return wire.config_address()[0]

    @property
    def market(self) -> Pubkey:
        return wire.market_address(self.market_id)[0]

    def position(self, user: Keypair) -> Pubkey:
        return wire.position_address(self.market, user.pubkey())[0]

    # --- the chain ---

    def set_time(self, now: int) -> None:
        self.now = now
        self.svm.set_clock(Clock(1, 0, 0, 0, now))

    def wait(self, seconds: int) -> None:
        self.set_time(self.now + seconds)

    def send(self, ix: Instruction, payer: Keypair, *others: Keypair) -> Outcome:
        """Run one instruction; the payer pays the fee and signs, as do the others."""
        self.svm.expire_blockhash()
        message = Message([ix], payer.pubkey())
        transaction = Transaction([payer, *others], message, self.svm.latest_blockhash())
        result = self.svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            meta, error = result.meta(), result.err()
        else:
            assert isinstance(result, TransactionMetadata)
            meta, error = result, None
        return Outcome(error, meta.logs(), meta.compute_units_consumed())

    def data(self, where: Pubkey) -> bytes:
        found = self.svm.get_account(where)
        assert found is not None
        return bytes(found.data)

    def lamports(self, where: Pubkey) -> int:
        return self.svm.get_balance(where) or 0

    def put(
        self, where: Pubkey, data: bytes, owner: Pubkey = wire.PROGRAM, lamports: int = SOL
    ) -> None:
        self.svm.set_account(where, Account(lamports, data, owner, False, 0))

    # --- the instructions, as they are meant to be sent ---

    def initialize(self) -> Outcome:
        ix = instruction(
            "initialize_global_config",
            [
                account(self.admin.pubkey(), "sw"),
                account(self.config, "w"),
                account(self.fee_wallet),
                account(wire.SYSTEM),
            ],
            bytes(self.backend.pubkey()),
        )
        return self.send(ix, self.admin)

    def update_config(
        self,
        fees: tuple[int, int, int] = (300, 200, 500),
        thresholds: tuple[int, int] = (7000, 6000),
        delay: int | None = None,
        period: int | None = None,
        admin: Keypair | None = None,
    ) -> Outcome:
        sender = admin or self.admin
        ix = instruction(
            "update_global_config",
            [account(sender.pubkey(), "s"), account(self.config, "w")],
            u16(*fees, *thresholds),
            option(None if delay is None else i64(delay)),
            option(None if period is None else i64(period)),
        )
        return self.send(ix, sender)

    def pause(self, admin: Keypair | None = None) -> Outcome:
        sender = admin or self.admin
        ix = instruction(
            "emergency_pause", [account(sender.pubkey(), "s"), account(self.config, "w")]
        )
        return self.send(ix, sender)

    def create(self, b: int = B, liquidity: int = SOL // 10) -> Outcome:
        ix = instruction(
            "create_market",
            [
                account(self.creator.pubkey(), "sw"),
                account(self.market, "w"),
                account(self.config),
                account(wire.SYSTEM),
            ],
            self.market_id,
            u64(b, liquidity),
            QUESTION,
        )
        return self.send(ix, self.creator)

    def vote(self, user: Keypair, vote: bool, kind: int = wire.PROPOSAL) -> Outcome:
        name = "submit_proposal_vote" if kind == wire.PROPOSAL else "submit_dispute_vote"
        record = wire.vote_address(self.market, user.pubkey(), kind)[0]
        ix = instruction(
            name,
            [
                account(self.market),
                account(record, "w"),
                account(user.pubkey(), "sw"),
                account(wire.SYSTEM),
            ],
            flag(vote),
        )
        return self.send(ix, user)

    def aggregate(
        self, agree: int, disagree: int, kind: int = wire.PROPOSAL, by: Keypair | None = None
    ) -> Outcome:
        sender = by or self.backend
        name = "aggregate_proposal_votes" if kind == wire.PROPOSAL else "aggregate_dispute_votes"
        ix = instruction(
            name,
            [account(self.market, "w"), account(self.config), account(sender.pubkey(), "s")],
            u32(agree, disagree),
        )
        return self.send(ix, sender)

    def _by_authority(self, name: str, sender: Keypair, flags: str) -> Outcome:
        ix = instruction(
            name,
            [account(sender.pubkey(), flags), account(self.market, "w"), account(self.config)],
        )
        return self.send(ix, sender)

    def approve(self, by: Keypair | None = None) -> Outcome:
        return self._by_authority("approve_proposal", by or self.admin, "sw")

    def activate(self, by: Keypair | None = None) -> Outcome:
        return self._by_authority("activate_market", by or self.creator, "sw")

    def cancel(self, by: Keypair | None = None) -> Outcome:
        return self._by_authority("cancel_market", by or self.admin, "s")

    def buy(
        self, user: Keypair, yes: bool, target_cost: int, fee_wallet: Pubkey | None = None
    ) -> Outcome:
        ix = instruction(
            "buy_shares",
            [
                account(self.config),
                account(self.market, "w"),
                account(self.position(user), "w"),
                account(user.pubkey(), "sw"),
                account(fee_wallet or self.fee_wallet, "w"),
                account(wire.SYSTEM),
            ],
            flag(yes),
            u64(target_cost),
        )
        return self.send(ix, user)

    def sell(self, user: Keypair, yes: bool, shares: int, min_proceeds: int = 0) -> Outcome:
        ix = instruction(
            "sell_shares",
            [
                account(self.config),
                account(self.market, "w"),
                account(self.position(user), "w"),
                account(user.pubkey(), "sw"),
                account(self.fee_wallet, "w"),
                account(wire.SYSTEM),
            ],
            flag(yes),
            u64(shares, min_proceeds),
        )
        return self.send(ix, user)

    def resolve(self, outcome: bool = True) -> Outcome:
        ix = instruction(
            "resolve_market",
            [
                account(self.config),
                account(self.market, "w"),
                account(self.resolver.pubkey(), "sw"),
            ],
            flag(outcome),
            EVIDENCE,
        )
        return self.send(ix, self.resolver)

    def dispute(self, user: Keypair) -> Outcome:
        ix = instruction(
            "initiate_dispute",
            [account(self.config), account(self.market, "w"), account(user.pubkey(), "s")],
        )
        return self.send(ix, user)

    def finalize(
        self, agree: int | None = None, disagree: int | None = None, by: Keypair | None = None
    ) -> Outcome:
        sender = by or self.backend
        ix = instruction(
            "finalize_market",
            [account(self.config), account(self.market, "w"), account(sender.pubkey(), "s")],
            option(None if agree is None else u32(agree)),
            option(None if disagree is None else u32(disagree)),
        )
        return self.send(ix, sender)

    def claim(self, user: Keypair, resolver: Pubkey | None = None) -> Outcome:
        ix = instruction(
            "claim_winnings",
            [
                account(self.config),
                account(self.market, "w"),
                account(self.position(user), "w"),
                account(user.pubkey(), "sw"),
                account(resolver or self.resolver.pubkey(), "w"),
                account(wire.SYSTEM),
            ],
        )
        return self.send(ix, user)

    def withdraw(self, by: Keypair | None = None) -> Outcome:
        sender = by or self.creator
        ix = instruction(
            "withdraw_liquidity", [account(self.market, "w"), account(sender.pubkey(), "sw")]
        )
        return self.send(ix, sender)

    # --- the way to a state ---

    def reach(self, state: int, b: int = B, liquidity: int = SOL // 10) -> "World":
        """Lead a fresh market to `state` by the usual steps, a second or more apart."""
        if state >= wire.PROPOSED:
            self.advance(self.initialize, lambda: self.create(b, liquidity))
        if state >= wire.APPROVED:
            self.advance(lambda: self.aggregate(7, 3), self.approve)
        if state >= wire.ACTIVE:
            self.advance(self.activate)
        if state >= wire.RESOLVING:
            self.advance(self.resolve)
        if state >= wire.DISPUTED:
            self.advance(lambda: self.dispute(self.users[0]))
        if state >= wire.FINALIZED:
            self.advance(lambda: self.finalize(6, 4))
        return self

    def advance(self, *steps: Callable[[], Outcome], seconds: int = 1) -> None:
        """Advance time, then execute steps that must succeed."""
        self.wait(seconds)
        for step in steps:
            outcome = step()
            assert outcome.ok, outcome.logs
