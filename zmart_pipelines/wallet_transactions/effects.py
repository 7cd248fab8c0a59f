"""What an act does when it is executed at a view of the chain, in words and in numbers."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import (
    ALLOCATED_SIZE,
    Account,
    GlobalConfig,
    MarketAccount,
    MarketState,
    UserPosition,
    VoteRecord,
)
from zmart_pipelines.program.lmsr import Pool
from zmart_pipelines.program.payout import rent_minimum
from zmart_pipelines.program.quotes import Figures
from zmart_pipelines.wallet_transactions.chain_view import ChainView

AccountKind = Literal["market", "position", "vote_record"]
_KINDS: Final[dict[type[Account], AccountKind]] = {
    MarketAccount: "market",
    UserPosition: "position",
    VoteRecord: "vote_record",
}


class Purpose(StrEnum):
    """What lamports are moved for."""

    RENT = "rent"
    TRADE = "trade"
    PROTOCOL_FEE = "protocol_fee"
    PROCEEDS = "proceeds"
    WINNINGS = "winnings"
    REFUND = "refund"
    RESOLVER_FEE = "resolver_fee"
    LIQUIDITY = "liquidity"


class Transfer(msgspec.Struct, frozen=True):
    """Lamports that move from one account to another."""

    purpose: Purpose
    sender: Pubkey
    receiver: Pubkey
    lamports: int


class NewAccount(msgspec.Struct, frozen=True):
    """An account that the act creates. Its rent is never returned.

    Attributes:
        rent: Lamports that the wallet pays for it: less than its minimum balance where
            the address holds lamports already.
    """

    kind: AccountKind
    address: Pubkey
    rent: int


class MarketFigures(msgspec.Struct, frozen=True):
    """What acts change of a market: its state, its pool, its counted liquidity (lamports)."""

    state: MarketState
    pool: Pool
    current_liquidity: int

    @classmethod
    def of(cls, market: MarketAccount) -> MarketFigures:
        """Return the figures in a market's account."""
        return cls(market.state, Pool.of(market), market.current_liquidity)


class Holdings(msgspec.Struct, frozen=True):
    """What acts change of a position: its shares (9 decimals) and whether it was paid out."""

    shares_yes: int = 0
    shares_no: int = 0
    has_claimed: bool = False

    @classmethod
    def of(cls, position: UserPosition | None) -> Holdings:
        """Return the holdings of a position; without one, none."""
        if position is None:
            return cls()
        return cls(position.shares_yes, position.shares_no, position.has_claimed)

    def moved(self, outcome: bool, shares: int) -> Holdings:
        """Return the holdings with ``shares`` added to one side, negative to remove."""
        if outcome:
            return msgspec.structs.replace(self, shares_yes=self.shares_yes + shares)
        return msgspec.structs.replace(self, shares_no=self.shares_no + shares)


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """The effects of an act, without the network's fee.

    Attributes:
        sentences: What it does, for people.
        created: Accounts that it creates, for each of which a transfer pays the rent.
        trade: A trade's figures, with its fee by receiver.
        market: The market after it; None where it does not change.
        holdings: The wallet's position after it; None where it does not change.
        config: The configuration after it; None where it does not change.
    """

    sentences: tuple[str, ...]
    transfers: tuple[Transfer, ...] = ()
    created: tuple[NewAccount, ...] = ()
    trade: Figures | None = None
    market: MarketFigures | None = None
    holdings: Holdings | None = None
    config: GlobalConfig | None = None

    def received(self, address: Pubkey) -> int:
        """Return the lamports that an account receives from others."""
        return sum(
            move.lamports
            for move in self.transfers
            if move.receiver == address and move.sender != address
        )

    def sent(self, address: Pubkey) -> int:
        """Return the lamports that an account sends to others."""
        return sum(
            move.lamports
            for move in self.transfers
            if move.sender == address and move.receiver != address
        )


def new_account(view: ChainView, account: type[Account], address: Pubkey) -> NewAccount:
    """Return the account that the program creates at ``address`` and the wallet pays for."""
    rent = rent_minimum(ALLOCATED_SIZE[account])
    return NewAccount(_KINDS[account], address, max(0, rent - view.balance(address)))


def rent_of(view: ChainView, created: NewAccount) -> Transfer:
    """Return the transfer that pays the rent of a new account."""
    return Transfer(Purpose.RENT, view.wallet, created.address, created.rent)
