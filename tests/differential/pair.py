"""The reference program in the SVM and the pure model, fed the same transactions.

``Pair.step`` runs one instruction in both and fails on any difference: in the error, the
events, or a byte or lamport of any account the transaction names.
"""

from __future__ import annotations

import base64
from pathlib import Path

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from solders.transaction_status import (
    InstructionErrorCustom,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
)

from localnet.program import PROGRAM_SO
from tests.reference_model.account_frame import Cell
from tests.reference_model.model import Model, Result
from zmart_pipelines.program.events import Event, decode_event
from zmart_pipelines.program.ids import CLOCK_SYSVAR, SYSTEM_PROGRAM
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM

SOL = 10**9
CLUSTER = (SYSTEM_PROGRAM, CLOCK_SYSVAR)
GENESIS = 1_762_768_370
WALLETS = tuple(Keypair.from_seed(bytes([n]) * 32) for n in range(1, 10))


class Difference(AssertionError):
    """The program and the model disagree."""


class Pair:
    """Both chains, with the same wallets in both."""

    def __init__(self, program: Path = PROGRAM_SO, balance: int = 2_000 * SOL) -> None:
        self.svm = (
            LiteSVM()
            .with_blockhash_check(False)
            .with_sigverify(False)
            .with_transaction_history(100_000)
        )
        self.svm.add_program_from_file(PROGRAM, program)
        self.model = Model(PROGRAM)
        self.keypairs = {keypair.pubkey(): keypair for keypair in WALLETS}
        self.wallets = list(self.keypairs)
        for wallet in self.wallets:
            self.fund(wallet, balance)
        # The cluster's own accounts, which an attacker may put in a market's place.
        for key in CLUSTER:
            theirs = self.svm.get_account(key)
            assert theirs is not None
            self.model.cells[key] = Cell(theirs.lamports, theirs.owner, bytes(theirs.data))
        self.now = GENESIS
        self.count = 0

    def fund(self, wallet: Pubkey, lamports: int) -> None:
        """Set a wallet's balance in both."""
        self.svm.set_account(wallet, Account(lamports, b"", Pubkey.default()))
        self.model.cells[wallet] = Cell(lamports)

    def step(self, instruction: Instruction, payer: Pubkey, seconds: int = 1) -> Result:
        """One transaction in both, after so many seconds; Difference where they part."""
        self.now += seconds
        self.count += 1
        self.svm.set_clock(Clock(self.count, 0, 0, 0, self.now))
        message = Message.new_with_blockhash(
            [instruction], payer, Hash(self.count.to_bytes(32, "big"))
        )
        signers = message.account_keys[: message.header.num_required_signatures]
        before = {key: self.svm.get_account(key) for key in message.account_keys}
        answer = self.svm.send_transaction(
            Transaction([self.keypairs[key] for key in signers], message, message.recent_blockhash)
        )
        failed = isinstance(answer, FailedTransactionMetadata)
        logs = (
            answer.meta().logs() if isinstance(answer, FailedTransactionMetadata) else answer.logs()
        )
        seen = _seen(answer, message)
        result = self.model.process(instruction, payer, self.now)
        expected = (result.error, result.rent_broken, result.unpaid)
        if result.rent_broken is not None and seen == (None, None, False):
            # The SVM alone holds only accounts with data to the rent minimum; the cluster
            # and our node hold wallets to it as well.
            self._undo(before, payer)
            return result
        if seen != expected:
            raise Difference(f"errors: program {seen}, model {expected}\n" + "\n".join(logs))
        if not failed:
            events = _events(logs)
            if events != result.events:
                raise Difference(f"events: program {events}, model {result.events}")
        for key in message.account_keys:
            if key not in CLUSTER:
                self._compare(key)
        return result

    def _undo(self, before: dict[Pubkey, Account | None], payer: Pubkey) -> None:
        for key, account in before.items():
            if account is None or not account.executable:
                self.svm.set_account(key, account or Account(0, b"", SYSTEM_PROGRAM))
        left = self.model.cells[payer].lamports
        self.svm.set_account(payer, Account(left, b"", SYSTEM_PROGRAM))

    def _compare(self, key: Pubkey) -> None:
        account = self.svm.get_account(key)
        cell = self.model.cells.get(key, Cell(0))
        if account is not None and account.executable:
            return
        theirs = (account.lamports, bytes(account.data)) if account else (0, b"")
        if theirs != (cell.lamports, cell.data):
            raise Difference(
                f"account {key}:\nprogram {theirs[0]} {theirs[1].hex()}\n"
                f"model   {cell.lamports} {cell.data.hex()}"
            )
        if account is not None and account.lamports and account.owner != cell.owner:
            raise Difference(f"owner of {key}: program {account.owner}, model {cell.owner}")


def _seen(answer: object, message: Message) -> tuple[int | str | None, Pubkey | None, bool]:
    if not isinstance(answer, FailedTransactionMetadata):
        return None, None, False
    error = answer.err()
    if isinstance(error, TransactionErrorInstructionError):
        inner = error.err
        if isinstance(inner, InstructionErrorCustom):
            return inner.code, None, False
        return str(inner).rpartition(".")[2], None, False
    if isinstance(error, TransactionErrorInsufficientFundsForRent):
        return None, message.account_keys[error.account_index], False
    return None, None, True


def _events(logs: list[str]) -> list[Event]:
    return [
        decode_event(base64.b64decode(line.removeprefix("Program data: ")))
        for line in logs
        if line.startswith("Program data: ")
    ]


def without_signature(meta: AccountMeta) -> AccountMeta:
    """The account as before, not signing."""
    return AccountMeta(meta.pubkey, is_signer=False, is_writable=meta.is_writable)
