"""The program in a virtual machine, and acts evaluated and executed on it."""

from __future__ import annotations

from pathlib import Path

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from solders.transaction_status import InstructionErrorCustom, TransactionErrorInstructionError

from localnet.program import PROGRAM_SO
from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import (
    GlobalConfig,
    MarketAccount,
    UserPosition,
    VoteKind,
    decode_as,
)
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)
from zmart_pipelines.program.errors import name_of
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.chain_view import ChainView

SOL = 10**9
FEE = 5_000
GENESIS = 1_762_768_370
WALLETS = tuple(Keypair.from_seed(bytes([number]) * 32) for number in range(1, 7))
ADMIN, BACKEND, FEES, CREATOR, ALICE, BOB = (key.pubkey() for key in WALLETS)


class SvmChain:
    """Wallets with 2,000 SOL each, a configuration, no market."""

    def __init__(self, program: bytes | Path = PROGRAM_SO) -> None:
        self.svm = LiteSVM().with_blockhash_check(False).with_sigverify(False)
        self.svm = self.svm.with_transaction_history(100_000)
        code = program if isinstance(program, bytes) else program.read_bytes()
        self.svm.add_program(PROGRAM, code)
        self.keypairs = {keypair.pubkey(): keypair for keypair in WALLETS}
        self.now = GENESIS
        self.count = 0
        for wallet in self.keypairs:
            self.fund(wallet, 2_000 * SOL)
        begun = instructions.initialize_global_config(
            PROGRAM, admin=ADMIN, backend_authority=BACKEND, protocol_fee_wallet=FEES
        )
        assert self.send(begun, ADMIN) is None

    def fund(self, wallet: Pubkey, lamports: int) -> None:
        self.svm.set_account(wallet, Account(lamports, b"", Pubkey.default()))

    def wait(self, seconds: int) -> None:
        self.now += seconds

    def send(self, instruction: Instruction, payer: Pubkey) -> str | None:
        """Execute an instruction, signed by the payer; the error's name, None for success."""
        self.count += 1
        self.svm.set_clock(Clock(self.count, 0, 0, 0, self.now))
        message = Message.new_with_blockhash(
            [instruction], payer, Hash(self.count.to_bytes(32, "big"))
        )
        signers = message.account_keys[: message.header.num_required_signatures]
        answer = self.svm.send_transaction(
            Transaction([self.keypairs[key] for key in signers], message, message.recent_blockhash)
        )
        if not isinstance(answer, FailedTransactionMetadata):
            return None
        error = answer.err()
        if isinstance(error, TransactionErrorInstructionError):
            if isinstance(error.err, InstructionErrorCustom):
                return name_of(error.err.code)
            return str(error.err).rpartition(".")[2]
        return str(error).rpartition(".")[2]

    def lamports(self, key: Pubkey) -> int:
        return self.svm.get_balance(key) or 0

    def data(self, key: Pubkey) -> bytes | None:
        found = self.svm.get_account(key)
        return None if found is None or found.owner != PROGRAM else bytes(found.data)

    def view(self, act: Act | type[Act], wallet: Pubkey, market_id: bytes | None) -> ChainView:
        """What the act depends on."""
        config = config_address(PROGRAM)[0]
        keys = [config, wallet]
        market = position = vote = None
        if market_id is not None:
            address = market_address(PROGRAM, market_id)[0]
            where = position_address(PROGRAM, address, wallet)[0]
            record = vote_address(PROGRAM, address, wallet, act.VOTE or VoteKind.PROPOSAL)[0]
            keys += [address, where, record]
            market, position, vote = (self.data(key) for key in (address, where, record))
        configured = self.data(config)
        assert configured is not None
        return ChainView(
            program=PROGRAM,
            wallet=wallet,
            market_id=market_id,
            now=self.now,
            config=decode_as(GlobalConfig, configured),
            market=None if market is None else decode_as(MarketAccount, market),
            position=None if position is None else decode_as(UserPosition, position),
            has_voted=vote is not None,
            balances={key: self.lamports(key) for key in keys},
        )

    def count_votes(self, market_id: bytes, likes: int, dislikes: int) -> str | None:
        """The backend writes the counts of a proposal."""
        address = market_address(PROGRAM, market_id)[0]
        return self.send(
            instructions.aggregate_proposal_votes(
                PROGRAM, backend_authority=BACKEND, market=address, likes=likes, dislikes=dislikes
            ),
            BACKEND,
        )

    def end_dispute(self, market_id: bytes, agree: int, disagree: int) -> str | None:
        """The backend ends a dispute in the way that may leave no outcome."""
        address = market_address(PROGRAM, market_id)[0]
        return self.send(
            instructions.aggregate_dispute_votes(
                PROGRAM, backend_authority=BACKEND, market=address, agrees=agree, disagrees=disagree
            ),
            BACKEND,
        )

    def finalize(self, market_id: bytes, agree: int | None, disagree: int | None) -> str | None:
        """The backend finalizes a market."""
        address = market_address(PROGRAM, market_id)[0]
        return self.send(
            instructions.finalize_market(
                PROGRAM,
                backend_authority=BACKEND,
                market=address,
                dispute_agree=agree,
                dispute_disagree=disagree,
            ),
            BACKEND,
        )
