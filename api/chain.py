"""What the API asks the chain: a blockhash, the configuration, whether it would work.

The API signs nothing. It prepares transactions whose payer and only signer is the user's
wallet, and hands them out unsigned.
"""

from __future__ import annotations

import base64
from typing import TypeVar

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from api.errors import ApiError, FieldError, not_found, unavailable
from zmart_pipelines.breakers import policies
from zmart_pipelines.breakers.endpoint_breakers import MemoryGuard
from zmart_pipelines.chain.account_reader import AccountMissing, AccountReader
from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount
from zmart_pipelines.program.errors import describe
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.eligibility import WalletEligibility

T = TypeVar("T")


class Prepared(msgspec.Struct, frozen=True):
    """An unsigned version-0 transaction in base64, and until which block height it may land."""

    transaction: str
    blockhash: str
    last_valid_block_height: int
    fee_payer: str


class Chain:
    """The chain through its nodes. Methods block; errors are ApiError 503, 404 or 409."""

    def __init__(self, settings: Settings) -> None:
        self.program = settings.program
        self.guard = MemoryGuard(policies.endpoint_policy(settings))
        self._rpc = connect(settings, guard=self.guard)
        self._reader = AccountReader(self._rpc, settings.program)

    def close(self) -> None:
        """Close the connections."""
        self._rpc.close()

    def standing(self, settings: Settings) -> WalletEligibility:
        """The judge of wallets, which asks the same nodes."""
        return WalletEligibility(self._rpc, settings)

    def config(self) -> GlobalConfig:
        """The program's configuration as confirmed."""
        try:
            return self._reader.config("confirmed").value
        except (RpcError, RpcUnavailable, AccountMissing) as error:
            raise unavailable("The chain") from error

    def market(self, market_id: bytes) -> MarketAccount:
        """The market's account as confirmed; ApiError 404 where it does not exist."""
        try:
            found = self._reader.market(market_id, "confirmed").value
        except (RpcError, RpcUnavailable) as error:
            raise unavailable("The chain") from error
        if found is None:
            raise not_found("Market")
        return found

    def prepare(self, payer: bytes, instruction: Instruction, *, rehearse: bool) -> Prepared:
        """A transaction of one instruction for ``payer`` to sign.

        :param rehearse: simulate it first; ApiError 409 with the program's reason where it
            would fail now.
        """
        key = Pubkey.from_bytes(payer)
        try:
            recent = self._rpc.latest_blockhash("confirmed")
            data = unsigned_transaction(key, [instruction], recent.hash)
            failure = self._rpc.simulate(data).error if rehearse else None
        except (RpcError, RpcUnavailable) as error:
            raise unavailable("The chain") from error
        if failure is not None:
            reason = describe(failure)
            raise ApiError(
                409,
                f"The chain would refuse this transaction now: {reason}",
                FieldError("transaction", reason),
                error="simulation_failed",
            )
        return Prepared(
            transaction=base64.b64encode(data).decode(),
            blockhash=str(recent.hash),
            last_valid_block_height=recent.last_valid_block_height,
            fee_payer=str(key),
        )
