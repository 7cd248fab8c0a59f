"""Unsigned transactions for wallets: read, check, simulate, price.

The effects are computed from one reading of the chain and must be those of the simulation, to
the lamport; where another transaction came in between, everything is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from zmart_pipelines.chain import compute_budget
from zmart_pipelines.chain.account_reader import AccountMissing
from zmart_pipelines.chain.faults import Fault, transaction_fault
from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient, clock_in
from zmart_pipelines.chain.rpc_types import AccountData, Blockhash, Commitment, Simulation
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.program.accounts import (
    GlobalConfig,
    MarketAccount,
    UserPosition,
    VoteRecord,
    decode_as,
)
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)
from zmart_pipelines.program.errors import custom_code, describe
from zmart_pipelines.program.ids import CLOCK_SYSVAR
from zmart_pipelines.settings import Settings
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.acts.sell import Sell
from zmart_pipelines.wallet_transactions.agreement import accounts_to_compare, differences
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.funds import funds_refusal
from zmart_pipelines.wallet_transactions.refusals import (
    SALE_UNSUPPORTED,
    Reason,
    Refusal,
    receiver_without_rent,
    remedy_of,
)

A = TypeVar("A", GlobalConfig, MarketAccount, UserPosition, VoteRecord)

COMMITMENT: Final[Commitment] = "confirmed"
# Readings of the chain before the effects must be those of the simulation.
ATTEMPTS: Final = 3


class MarketMissing(Exception):
    """The market that an act needs is not on chain."""


class ActRefused(Exception):
    """The chain would refuse the act."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class NetworkFee(msgspec.Struct, frozen=True):
    """What the network charges: ``total`` and ``priority`` in lamports.

    Attributes:
        units: Compute units that the simulation used.
        unit_limit: The transaction's compute limit.
        unit_price: Micro-lamports per compute unit.
    """

    units: int
    unit_limit: int
    unit_price: int

    @property
    def total(self) -> int:
        """The whole fee."""
        return compute_budget.fee(self.unit_limit, self.unit_price)

    @property
    def priority(self) -> int:
        """The part above the fee of one signature."""
        return self.total - compute_budget.BASE_FEE


class FeeLimits(msgspec.Struct, frozen=True):
    """How much a transaction may offer the network.

    Attributes:
        unit_price: The highest price of a compute unit, in micro-lamports.
        fee: The highest fee, in lamports; the price is lowered to fit.
        percentile: Of recent prices, 0 to 100, that is offered within these.
    """

    unit_price: int
    fee: int
    percentile: int = compute_budget.DEFAULT_PERCENTILE

    @classmethod
    def of(cls, settings: Settings) -> FeeLimits:
        """Return the limits for wallets in the settings."""
        return cls(
            settings.max_priority_fee_micro_lamports,
            settings.prepared_max_fee_lamports,
            settings.prepared_fee_percentile,
        )

    def price(self, recent: Sequence[int], unit_limit: int) -> int:
        """Return the price to offer per compute unit, after recent ones, within the limits."""
        affordable = compute_budget.affordable_price(unit_limit, self.fee)
        return compute_budget.unit_price(recent, min(self.unit_price, affordable), self.percentile)


class PreparedAct(msgspec.Struct, frozen=True):
    """An unsigned version-0 transaction, and what it does.

    Attributes:
        view: The chain that the effects were computed from.
        slot: Of the simulation that had these effects.
    """

    transaction: bytes
    blockhash: Blockhash
    view: ChainView
    effects: Effects
    fee: NetworkFee
    slot: int


class WalletPreparation:
    """Prepares acts of wallets on one cluster.

    Args:
        rpc: The nodes.
        program: The program's address.
        limits: Of the network's fee.
        before_call: Called before each call to the nodes; it may raise to stop.
    """

    def __init__(
        self,
        rpc: RpcClient,
        program: Pubkey,
        limits: FeeLimits,
        before_call: Callable[[], None] = lambda: None,
    ) -> None:
        self._rpc = rpc
        self._program = program
        self._limits = limits
        self._before_call = before_call

    def prepare(self, act: Act, wallet: Pubkey, market_id: bytes | None) -> PreparedAct:
        """Return the transaction of an act for ``wallet`` to sign.

        Raises:
            ActRefused: The chain would refuse it now.
            MarketMissing: There is no such market.
            AccountMissing: The program has no configuration.
            RpcError, RpcUnavailable: The chain cannot be read, or changes faster than it is read.
        """
        for _ in range(ATTEMPTS):
            view, slot = self.read(act, wallet, market_id)
            found = self._attempt(act, view, slot)
            if not isinstance(found, str):
                return found
        raise RpcUnavailable(f"the simulation disagrees with the accounts that were read: {found}")

    def unchecked(
        self, act: Act, wallet: Pubkey, market_id: bytes | None
    ) -> tuple[bytes, Blockhash]:
        """Return the transaction of an act without asking whether it would be refused.

        Raises:
            MarketMissing, AccountMissing, RpcError, RpcUnavailable: As for :meth:`prepare`.
        """
        view, _ = self.read(act, wallet, market_id)
        self._before_call()
        blockhash = self._rpc.latest_blockhash(COMMITMENT)
        return unsigned_transaction(wallet, [act.instruction(view)], blockhash.hash), blockhash

    def read(
        self, act: Act | type[Act], wallet: Pubkey, market_id: bytes | None
    ) -> tuple[ChainView, int]:
        """Return what an act depends on, and the slot it was read at.

        Raises:
            MarketMissing, AccountMissing, RpcError, RpcUnavailable: As for :meth:`prepare`.
        """
        program = self._program
        keys = [CLOCK_SYSVAR, config_address(program)[0], wallet]
        if market_id is not None:
            market_key = market_address(program, market_id)[0]
            keys += [market_key, position_address(program, market_key, wallet)[0]]
            if act.VOTE is not None:
                keys.append(vote_address(program, market_key, wallet, act.VOTE)[0])
        self._before_call()
        read = self._rpc.accounts(keys, COMMITMENT)
        clock, config, _, market, position, vote = [*read.value, None, None, None][:6]
        present = self._owned(GlobalConfig, config)
        if present is None:
            raise AccountMissing(f"GlobalConfig of program {program}")
        found = self._owned(MarketAccount, market)
        if found is None and act.SUBJECT == "market":
            raise MarketMissing
        view = ChainView(
            program=program,
            wallet=wallet,
            market_id=market_id,
            now=clock_in(clock).unix_timestamp,
            config=present,
            market=found,
            position=self._owned(UserPosition, position),
            has_voted=self._owned(VoteRecord, vote) is not None,
            balances={
                key: account.lamports
                for key, account in zip(keys, read.value, strict=True)
                if account is not None
            },
        )
        return view, read.slot

    def _owned(self, cls: type[A], account: AccountData | None) -> A | None:
        """Return an account of the program; None for others, such as lamports that were sent."""
        if account is None or account.owner != self._program:
            return None
        return decode_as(cls, account.data)

    def _attempt(self, act: Act, view: ChainView, slot: int) -> PreparedAct | str:
        """Return the transaction, or how the simulation differs from the effects."""
        _refuse(act.refusal(view))
        effects = act.effects(view)
        _refuse(funds_refusal(view, effects, compute_budget.BASE_FEE))
        instruction = act.instruction(view)
        self._before_call()
        blockhash = self._rpc.latest_blockhash(COMMITMENT)
        keys = accounts_to_compare(view, effects)
        trial = unsigned_transaction(
            view.wallet,
            compute_budget.with_budget([instruction], units=compute_budget.MAX_COMPUTE_UNITS),
            blockhash.hash,
        )
        self._before_call()
        done = self._rpc.simulate(trial, COMMITMENT, min_context_slot=slot, accounts=keys)
        _refuse(_failure(act, trial, done))
        after = {
            key: account
            for key, account in zip(keys, done.accounts, strict=True)
            if account is not None
        }
        differing = list(
            differences(
                view,
                effects,
                compute_budget.BASE_FEE,
                {key: account.lamports for key, account in after.items()},
                {key: account.data for key, account in after.items()},
            )
        )
        if differing:
            return "; ".join(differing)
        fee = self._fee(instruction, view.wallet, done.units or 0)
        _refuse(funds_refusal(view, effects, fee.total))
        body = compute_budget.with_budget(
            [instruction], units=fee.unit_limit, unit_price=fee.unit_price
        )
        data = unsigned_transaction(view.wallet, body, blockhash.hash)
        return PreparedAct(data, blockhash, view, effects, fee, done.slot)

    def _fee(self, instruction: Instruction, wallet: Pubkey, units: int) -> NetworkFee:
        """Return the fee: a percentile of what landed for the same written accounts, capped."""
        written = {meta.pubkey for meta in instruction.accounts if meta.is_writable} | {wallet}
        self._before_call()
        recent = [row.fee for row in self._rpc.prioritization_fees(sorted(written, key=str))]
        limit = compute_budget.compute_limit(units)
        return NetworkFee(units, limit, self._limits.price(recent, limit))


def _refuse(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise ActRefused(refusal)


def _failure(act: Act, transaction: bytes, done: Simulation) -> Refusal | None:
    """Return the refusal in a simulation that failed.

    Raises:
        RpcUnavailable: The node's state prevented the execution.
    """
    if done.error is None:
        return None
    fault, name = transaction_fault(done.error), describe(done.error)
    if fault is Fault.BEHIND:
        raise RpcUnavailable(f"the simulation was prevented: {name}")
    code = custom_code(done.error)
    if isinstance(act, Sell) and code is None and fault is Fault.PROGRAM:
        return SALE_UNSUPPORTED
    short = _account_without_rent(transaction, done.error)
    if short is not None:
        return receiver_without_rent(short)
    return Refusal(
        reason=Reason.PROGRAM,
        message=f"The simulation failed with {name}.",
        remedy=remedy_of(name),
        error=name,
        number=code,
    )


def _account_without_rent(transaction: bytes, error: object) -> Pubkey | None:
    """Return the account, not the payer's, that would be left below its minimum balance."""
    if not isinstance(error, dict) or "InsufficientFundsForRent" not in error:
        return None
    index = error["InsufficientFundsForRent"].get("account_index", 0)
    keys = VersionedTransaction.from_bytes(transaction).message.account_keys
    return keys[index] if 0 < index < len(keys) else None
