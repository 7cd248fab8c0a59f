"""Signed transactions for the tests, built without the code under test."""

import base64
from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.fixtures.localnet import Localnet

SOL = 1_000_000_000


def pay(payer: Keypair, to: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))


def blockhash(chain: Localnet, commitment: str = "confirmed") -> Hash:
    value = chain.result("getLatestBlockhash", {"commitment": commitment})["value"]
    return Hash.from_string(value["blockhash"])


def signed(
    instructions: list[Instruction],
    payer: Keypair,
    recent: Hash,
    *others: Keypair,
    legacy: bool = False,
) -> VersionedTransaction:
    message: Message | MessageV0
    if legacy:
        message = Message.new_with_blockhash(instructions, payer.pubkey(), recent)
    else:
        message = MessageV0.try_compile(payer.pubkey(), instructions, [], recent)
    return VersionedTransaction(message, [payer, *others])


def encoded(tx: VersionedTransaction) -> str:
    return base64.b64encode(bytes(tx)).decode()


def send(chain: Localnet, tx: VersionedTransaction, **options: Any) -> Any:
    """Return the response body of sendTransaction; default: preflight at processed."""
    wanted = {"encoding": "base64", "preflightCommitment": "processed", **options}
    return chain.rpc("sendTransaction", encoded(tx), wanted)


def status(chain: Localnet, signature: str, *, history: bool = False) -> Any:
    options = {"searchTransactionHistory": history}
    return chain.result("getSignatureStatuses", [signature], options)["value"][0]


def funded(chain: Localnet, lamports: int = 10 * SOL) -> Keypair:
    """A new wallet with lamports, confirmed."""
    wallet = Keypair()
    chain.airdrop(wallet.pubkey(), lamports)
    return wallet
