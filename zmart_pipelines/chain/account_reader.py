"""Reading of the program's accounts as typed values, each with the slot it was read at."""

from __future__ import annotations

from typing import TypeVar

from solders.pubkey import Pubkey

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import AtSlot, Commitment
from zmart_pipelines.program.accounts import (
    DISCRIMINATOR,
    GlobalConfig,
    MarketAccount,
    MarketState,
    UserPosition,
    VoteKind,
    VoteRecord,
    decode_as,
    field_offset,
)
from zmart_pipelines.program.addresses import config_address, market_address, position_address

A = TypeVar("A", GlobalConfig, MarketAccount, UserPosition, VoteRecord)


class AccountMissing(Exception):
    """An account that must exist does not."""


class AccountReader:
    """Reads the accounts of one program by RPC.

    All methods raise what RpcClient raises, and DecodeError for bytes that are not the
    account. With ``min_context_slot`` a node that has not reached that slot refuses.
    """

    def __init__(self, rpc: RpcClient, program: Pubkey) -> None:
        self.rpc = rpc
        self.program = program

    def address(self, market_id: bytes) -> Pubkey:
        """Return the address of a market's account."""
        return market_address(self.program, market_id)[0]

    def config(
        self, commitment: Commitment = "finalized", min_context_slot: int | None = None
    ) -> AtSlot[GlobalConfig]:
        """Return the protocol's configuration.

        Raises:
            AccountMissing: the program has none yet.
        """
        address = config_address(self.program)[0]
        found = self._account(GlobalConfig, address, commitment, min_context_slot)
        if found.value is None:
            raise AccountMissing(f"GlobalConfig {address} of program {self.program}")
        return AtSlot(found.slot, found.value)

    def market(
        self,
        market_id: bytes,
        commitment: Commitment = "finalized",
        min_context_slot: int | None = None,
    ) -> AtSlot[MarketAccount | None]:
        """Return a market by its id, or None where it does not exist."""
        address = self.address(market_id)
        return self._account(MarketAccount, address, commitment, min_context_slot)

    def position(
        self,
        market_id: bytes,
        user: Pubkey,
        commitment: Commitment = "finalized",
        min_context_slot: int | None = None,
    ) -> AtSlot[UserPosition | None]:
        """Return a user's position in a market, or None where the user never traded in it."""
        market = self.address(market_id)
        address = position_address(self.program, market, user)[0]
        return self._account(UserPosition, address, commitment, min_context_slot)

    def markets(
        self,
        state: MarketState | None = None,
        commitment: Commitment = "finalized",
        min_context_slot: int | None = None,
    ) -> AtSlot[list[MarketAccount]]:
        """Return all markets, or those in one state, as of one slot, in no order."""
        filters = []
        if state is not None:
            filters.append((field_offset(MarketAccount, "state"), bytes([state])))
        return self._accounts(MarketAccount, filters, commitment, min_context_slot)

    def positions(
        self,
        market_id: bytes | None = None,
        commitment: Commitment = "finalized",
        min_context_slot: int | None = None,
    ) -> AtSlot[list[UserPosition]]:
        """Return all positions, or those in one market, as of one slot, in no order."""
        filters = []
        if market_id is not None:
            market = self.address(market_id)
            filters.append((field_offset(UserPosition, "market"), bytes(market)))
        return self._accounts(UserPosition, filters, commitment, min_context_slot)

    def vote_records(
        self,
        market_id: bytes,
        kind: VoteKind,
        commitment: Commitment = "finalized",
        min_context_slot: int | None = None,
    ) -> AtSlot[list[VoteRecord]]:
        """Return the on-chain votes of a kind on a market, as of one slot, in no order."""
        market = self.address(market_id)
        filters = [
            (field_offset(VoteRecord, "market"), bytes(market)),
            (field_offset(VoteRecord, "vote_type"), bytes([kind])),
        ]
        return self._accounts(VoteRecord, filters, commitment, min_context_slot)

    def _account(
        self, cls: type[A], address: Pubkey, commitment: Commitment, min_context_slot: int | None
    ) -> AtSlot[A | None]:
        found = self.rpc.account(address, commitment, min_context_slot)
        account = found.value
        # Anyone can send lamports to an address before the program creates its account.
        if account is None or account.owner != self.program:
            return AtSlot(found.slot, None)
        return AtSlot(found.slot, decode_as(cls, account.data))

    def _accounts(
        self,
        cls: type[A],
        filters: list[tuple[int, bytes]],
        commitment: Commitment,
        min_context_slot: int | None,
    ) -> AtSlot[list[A]]:
        found = self.rpc.program_accounts(
            self.program,
            DISCRIMINATOR[cls],
            filters,
            commitment,
            min_context_slot=min_context_slot,
        )
        return AtSlot(found.slot, [decode_as(cls, data) for _, data in found.value])
