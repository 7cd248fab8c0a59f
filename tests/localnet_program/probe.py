"""Runs single functions of the program's arithmetic in the SVM (see probe.c)."""

import base64
import struct
from pathlib import Path

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata

from localnet.program.build import SOURCES, build
from tests.localnet_program.world import SOL, Outcome, key

OPERATIONS = ["mul_div", "exp", "ln", "cost", "price", "buy", "sell", "split", "max_loss"]
PARTS = ["errors.c", "fees.c", "fixed.c", "input.c", "lmsr.c"]


class Refused(Exception):
    """The function raised an error; `code` is its number."""

    def __init__(self, code: object) -> None:
        super().__init__(code)
        self.code = code


class Probe:
    """`probe("exp", 10**9)` gives the results that the operation has, or raises Refused."""

    def __init__(self) -> None:
        sources = [Path(__file__).with_name("probe.c"), *(SOURCES / name for name in PARTS)]
        self._program: Keypair = key(200)
        self._payer: Keypair = key(201)
        self._svm = LiteSVM()
        self._svm.add_program(self._program.pubkey(), build(sources))
        self._svm.airdrop(self._payer.pubkey(), 1_000 * SOL)

    def __call__(self, operation: str, *operands: int) -> tuple[int, ...]:
        padded = [*operands, *[0] * (5 - len(operands))]
        data = struct.pack("<B5Q", OPERATIONS.index(operation), *padded)
        message = Message([Instruction(self._program.pubkey(), data, [])], self._payer.pubkey())
        self._svm.expire_blockhash()
        result = self._svm.send_transaction(
            Transaction([self._payer], message, self._svm.latest_blockhash())
        )
        if isinstance(result, FailedTransactionMetadata):
            raise Refused(Outcome(result.err(), result.meta().logs(), 0).code)
        mark = f"Program return: {self._program.pubkey()} "
        (line,) = [line for line in result.logs() if line.startswith(mark)]
        return struct.unpack("<4Q", base64.b64decode(line.removeprefix(mark)))
