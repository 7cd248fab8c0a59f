"""What the API reads from the chain: a blockhash, the configuration, a simulation.

The API signs nothing. It prepares unsigned transactions whose fee payer and only signer is
the user's wallet.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from api.bulkhead import Bulkhead
from api.errors import FieldError, not_found, program_refusal, unavailable
from zmart_pipelines.breakers import policies
from zmart_pipelines.breakers.endpoint_breakers import MemoryGuard
from zmart_pipelines.chain.account_reader import AccountMissing, AccountReader
from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.faults import Fault, transaction_fault
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc_types import AtSlot, Commitment
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, UserPosition
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.errors import describe
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.eligibility import WalletEligibility

T = TypeVar("T")

# Rounds over the endpoints for one read: a user waits for it.
ATTEMPTS: Final = 2
BLOCKHASH_COMMITMENT: Final = "confirmed"


class UnsignedTransaction(msgspec.Struct, frozen=True):
    """An unsigned version-0 transaction (base64), valid up to ``last_valid_block_height``.

    A node that is asked to check it at a commitment above ``blockhash_commitment`` may not know the
    blockhash yet.
    """

    transaction: str
    blockhash: str
    blockhash_commitment: Commitment
    last_valid_block_height: int
    fee_payer: str


class Chain:
    """The chain through its RPC nodes. Methods block and raise ApiError 503, 404 or 409.

    Handlers call them inside ``run``, in the chain's own threads.
    """

    def __init__(self, settings: Settings) -> None:
        self.program = settings.program
        self.guard = MemoryGuard(policies.endpoint_policy(settings))
        seconds = settings.api_chain_seconds
        self._rpc = connect(
            settings,
            guard=self.guard,
            timeout=min(settings.rpc_timeout, seconds),
            attempts=ATTEMPTS,
            patience=seconds,
        )
        self._bulkhead = Bulkhead(
            "chain",
            threads=settings.api_chain_threads,
            queue=settings.api_queue,
            seconds=seconds,
            refusal=lambda: unavailable("The chain"),
        )
        self._reader = AccountReader(self._rpc, settings.program)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work``, which calls the methods below, in one of the chain's threads.

        Raises:
            ApiError: 503 when there is no result in time, or as ``work`` raises it.
        """
        return await self._bulkhead.run(work)

    def close(self) -> None:
        """Wait for running calls and close the connections."""
        self._bulkhead.close()
        self._rpc.close()

    def wallet_eligibility(self, settings: Settings) -> WalletEligibility:
        """Return the eligibility checks of wallets, on the same nodes."""
        return WalletEligibility(self._rpc, settings)

    def config(self) -> GlobalConfig:
        """Return the program's confirmed configuration."""
        self._bulkhead.continue_only_if_awaited()
        try:
            return self._reader.config("confirmed").value
        except (RpcError, RpcUnavailable, AccountMissing) as error:
            raise unavailable("The chain") from error

    def market(self, market_id: bytes) -> MarketAccount:
        """Return the market's confirmed account; raise ApiError 404 where it does not exist."""
        self._bulkhead.continue_only_if_awaited()
        try:
            found = self._reader.market(market_id, "confirmed").value
        except (RpcError, RpcUnavailable) as error:
            raise unavailable("The chain") from error
        if found is None:
            raise not_found("Market")
        return found

    def market_account(self, market_id: bytes) -> AtSlot[MarketAccount | None]:
        """Return the market's confirmed account with the slot it was read at."""
        return self._account(lambda: self._reader.market(market_id, "confirmed"))

    def position_account(self, market_id: bytes, user: bytes) -> AtSlot[UserPosition | None]:
        """Return a wallet's confirmed position account with the slot it was read at."""
        key = Pubkey.from_bytes(user)
        return self._account(lambda: self._reader.position(market_id, key, "confirmed"))

    def _account(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except (RpcError, RpcUnavailable, DecodeError) as error:
            raise unavailable("The chain") from error

    def prepare(
        self, payer: bytes, instruction: Instruction, *, simulate: bool
    ) -> UnsignedTransaction:
        """Return a transaction of one instruction for ``payer`` to sign.

        Args:
            payer: The wallet (32 bytes) that pays the fee and signs.
            instruction: The only instruction.
            simulate: Simulate the transaction first and raise ApiError 409 with the
                program's reason where it would fail now.
        """
        key = Pubkey.from_bytes(payer)
        self._bulkhead.continue_only_if_awaited()
        try:
            recent = self._rpc.latest_blockhash(BLOCKHASH_COMMITMENT)
            data = unsigned_transaction(key, [instruction], recent.hash)
            self._bulkhead.continue_only_if_awaited()
            failure = self._rpc.simulate(data).error if simulate else None
            if failure is not None and transaction_fault(failure) is Fault.BEHIND:
                raise unavailable("The chain")
        except (RpcError, RpcUnavailable) as error:
            raise unavailable("The chain") from error
        if failure is not None:
            reason = describe(failure)
            raise program_refusal(
                reason,
                f"The program would reject this transaction now: {reason}",
                FieldError("transaction", reason),
            )
        return UnsignedTransaction(
            transaction=base64.b64encode(data).decode(),
            blockhash=str(recent.hash),
            blockhash_commitment=BLOCKHASH_COMMITMENT,
            last_valid_block_height=recent.last_valid_block_height,
            fee_payer=str(key),
        )
