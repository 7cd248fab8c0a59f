"""Access to the chain: sign and send transactions and wait until they are confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from anchorpy.error import ProgramError
from anchorpy.program.context import Context
from anchorpy.program.core import Program
from anchorpy.provider import Provider, Wallet
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.core import RPCException, UnconfirmedTxError
from solana.rpc.types import TxOpts
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.jsonrpc import RpcError
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.program import idl
from zmart_pipelines.program.addresses import config_address, position_address
from zmart_pipelines.program.errors import name_of

CONFIRM_WITHIN = 30.0  # seconds
POLL_SECONDS = 0.2


class TransactionRefused(Exception):
    """The chain refused a transaction; the text is the program's name of the error."""


class Chain:
    """Sends transactions that the cast signs. Amounts are in lamports."""

    def __init__(self, rpc: RpcClient, url: str, program: Pubkey) -> None:
        self.reader = AccountReader(rpc, program)
        self.program = program
        self._rpc = rpc
        self._url = url

    def send(self, signer: Keypair, instruction: Instruction) -> None:
        """Sign, send and wait for the confirmation of one instruction.

        Raises:
            TransactionRefused: the chain refuses the transaction.
        """
        blockhash = self._rpc.latest_blockhash("confirmed").hash
        self._deliver(build_transaction(signer.pubkey(), [instruction], blockhash, [signer]))

    def sign_and_send(self, signer: Keypair, unsigned: bytes) -> None:
        """Do the same with a transaction that the API built for ``signer``.

        Raises:
            TransactionRefused: the chain refuses it, or it requires other signatures.
        """
        transaction = VersionedTransaction.from_bytes(unsigned)
        message = transaction.message
        needed = message.account_keys[: message.header.num_required_signatures]
        if list(needed) != [signer.pubkey()]:
            raise TransactionRefused(
                f"the transaction must be signed by {', '.join(map(str, needed))}"
            )
        self._deliver(bytes(VersionedTransaction(message, [signer])))

    def claim(self, signer: Keypair, market: Pubkey, resolver: Pubkey) -> None:
        """Claim winnings with anchorpy and solana-py, as a Python user of the program would.

        Raises:
            TransactionRefused: the chain refuses the transaction.
        """
        position, _ = position_address(self.program, market, signer.pubkey())
        accounts = {
            "global_config": config_address(self.program)[0],
            "market": market,
            "position": position,
            "user": signer.pubkey(),
            "resolver": resolver,
            "system_program": Pubkey.default(),
        }
        asyncio.run(self._anchor_call(signer, "claim_winnings", accounts))

    def fund(self, wallets: Iterable[Pubkey], at_least: int, up_to: int) -> None:
        """Top up wallets that hold less than ``at_least`` to ``up_to`` from the faucet."""
        balances = {wallet: self._rpc.balance(wallet, "confirmed").value for wallet in wallets}
        airdrops = [
            self._rpc.airdrop(wallet, up_to - balance)
            for wallet, balance in balances.items()
            if balance < at_least
        ]
        for signature in airdrops:
            self._confirm(signature)

    async def _anchor_call(self, signer: Keypair, name: str, accounts: dict[str, Any]) -> None:
        async with AsyncClient(self._url, commitment=Confirmed) as client:
            options = TxOpts(skip_confirmation=False, preflight_commitment=Confirmed)
            provider = Provider(client, Wallet(signer), options)
            program = Program(idl.legacy(), self.program, provider)
            try:
                await program.rpc[name](ctx=Context(accounts=accounts))
            except ProgramError as error:
                raise TransactionRefused(name_of(error.code) or str(error)) from error
            except (RPCException, SolanaRpcException, UnconfirmedTxError) as error:
                raise TransactionRefused(f"{name}: {error}") from error

    def _deliver(self, transaction: bytes) -> None:
        try:
            self._confirm(self._rpc.send(transaction))
        except RpcError as error:
            raise TransactionRefused(_reason(error.data) or error.message) from error

    def _confirm(self, signature: bytes) -> None:
        deadline = time.monotonic() + CONFIRM_WITHIN
        while time.monotonic() < deadline:
            status = self._rpc.signature_statuses([signature], False).value[0]
            if status is not None and status.error is not None:
                raise TransactionRefused(_reason({"err": status.error}) or str(status.error))
            if status is not None and status.commitment in ("confirmed", "finalized"):
                return
            time.sleep(POLL_SECONDS)
        name = Signature(signature)
        raise TransactionRefused(f"{name} was not confirmed within {CONFIRM_WITHIN:.0f} s")


def _reason(data: Any) -> str | None:
    """Return the program's name of the error in a node's response, where there is one."""
    match data:
        case {"err": {"InstructionError": [_, {"Custom": int(code)}]}}:
            return name_of(code)
        case {"err": error} if error is not None:
            return str(error)
    return None
