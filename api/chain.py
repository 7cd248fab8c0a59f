"""What the API reads from the chain: a blockhash, the configuration, a simulation.

The API signs nothing. It prepares unsigned transactions whose fee payer and only signer is
the user's wallet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from solders.pubkey import Pubkey

from api.bulkhead import Bulkhead
from api.errors import not_found, unavailable
from api.wallet_transactions import answers
from api.wallet_transactions.refused import refused
from zmart_pipelines.breakers import policies
from zmart_pipelines.breakers.endpoint_breakers import MemoryGuard
from zmart_pipelines.chain.account_reader import AccountMissing, AccountReader
from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc_types import AtSlot
from zmart_pipelines.chain.wallet_preparation import (
    ActRefused,
    FeeLimits,
    MarketMissing,
    PreparedAct,
    WalletPreparation,
)
from zmart_pipelines.program.accounts import MarketAccount, UserPosition
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.eligibility import WalletEligibility
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.refusals import Refusal

T = TypeVar("T")

# Rounds over the endpoints for one read: a user waits for it.
ATTEMPTS: Final = 2


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
        self._preparation = WalletPreparation(
            self._rpc,
            settings.program,
            FeeLimits.of(settings),
            self._bulkhead.continue_only_if_awaited,
        )

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

    def balance(self, wallet: bytes) -> int:
        """Return the confirmed balance of a wallet (32 bytes) in lamports; blocks."""
        key = Pubkey.from_bytes(wallet)
        return self._account(lambda: self._rpc.balance(key, "confirmed")).value

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

    def prepare(self, act: Act, wallet: Pubkey, market_id: bytes | None) -> PreparedAct:
        """Return the transaction of an act for ``wallet`` to sign, with what it does.

        Raises:
            ApiError: 409 with the program's reason where it would be refused now, 404 without the
                market, 503.
        """
        prepared = self.prepare_or_refuse(act, wallet, market_id)
        if isinstance(prepared, Refusal):
            raise refused(prepared)
        return prepared

    def prepare_or_refuse(
        self, act: Act, wallet: Pubkey, market_id: bytes | None
    ) -> PreparedAct | Refusal:
        """Return the transaction, or why it would be refused; raise as :meth:`prepare` does."""
        with _as_api_errors():
            try:
                return self._preparation.prepare(act, wallet, market_id)
            except ActRefused as error:
                return error.refusal

    def unchecked(
        self, act: Act, wallet: Pubkey, market_id: bytes | None
    ) -> answers.UnsignedTransaction:
        """Return the transaction of an act that may be refused now."""
        with _as_api_errors():
            data, blockhash = self._preparation.unchecked(act, wallet, market_id)
        return answers.unsigned_transaction(data, blockhash, wallet)


@contextlib.contextmanager
def _as_api_errors() -> Iterator[None]:
    """Raise ApiError 404 without the market, and 503 where the chain cannot be read."""
    try:
        yield
    except MarketMissing as error:
        raise not_found("Market") from error
    except (RpcError, RpcUnavailable, AccountMissing, DecodeError) as error:
        raise unavailable("The chain") from error
