"""Signed transactions of the program, and ones that are not to be relayed."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.transaction import VersionedTransaction

from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program import instructions
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID, MEMO_PROGRAM

SOL = 10**9


def create_market(creator: Keypair, market_id: bytes) -> Instruction:
    """The instruction by which a wallet proposes a market; no state is needed before."""
    return instructions.create_market(
        DEFAULT_PROGRAM_ID,
        creator=creator.pubkey(),
        market_id=market_id,
        b_parameter=100 * SOL,
        initial_liquidity=SOL // 10,
        question_hash=cid_v0(market_id).encode(),
    )


def memo(text: bytes = b"hello") -> Instruction:
    return Instruction(MEMO_PROGRAM, text, [])


def signed(
    payer: Keypair,
    wanted: Sequence[Instruction],
    blockhash: Hash | None = None,
    *,
    signers: Sequence[Keypair] = (),
    legacy: bool = False,
) -> bytes:
    """The bytes of a signed transaction."""
    recent = blockhash or Hash.default()
    message: Message | MessageV0
    if legacy:
        message = Message.new_with_blockhash(list(wanted), payer.pubkey(), recent)
    else:
        message = MessageV0.try_compile(payer.pubkey(), list(wanted), [], recent)
    return bytes(VersionedTransaction(message, [payer, *signers]))


def priced(payer: Keypair, market_id: bytes, blockhash: Hash, price: int = 1) -> bytes:
    """A market's creation with a compute-unit price, so that equal calls differ in bytes."""
    wanted = [set_compute_unit_price(price), create_market(payer, market_id)]
    return signed(payer, wanted, blockhash)


def text(transaction: bytes) -> str:
    """As a body carries it."""
    return base64.b64encode(transaction).decode()
