"""What an act reads of the chain, as of one slot."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, UserPosition, VoteKind
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)


class ChainView(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts that an act of one wallet depends on.

    Attributes:
        wallet: Who signs and pays.
        market_id: The market that the act names; None for acts on the whole protocol.
        now: The cluster's clock in Unix seconds.
        market: None where it does not exist.
        position: The wallet's in this market; None where it never traded.
        has_voted: Whether the wallet's vote of the act's kind is on chain.
        balances: Lamports by address, of every account that was read and exists.
    """

    program: Pubkey
    wallet: Pubkey
    market_id: bytes | None
    now: int
    config: GlobalConfig
    market: MarketAccount | None
    position: UserPosition | None
    has_voted: bool
    balances: Mapping[Pubkey, int]

    @property
    def existing_market(self) -> MarketAccount:
        """The market; acts on an existing one are evaluated only with it."""
        if self.market is None:
            raise LookupError("the view has no market")
        return self.market

    @property
    def market_address(self) -> Pubkey:
        """The address of the market's account, whether it exists or not."""
        if self.market_id is None:
            raise LookupError("the view names no market")
        return market_address(self.program, self.market_id)[0]

    @property
    def position_address(self) -> Pubkey:
        """The address of the wallet's position."""
        return position_address(self.program, self.market_address, self.wallet)[0]

    @property
    def config_address(self) -> Pubkey:
        """The address of the configuration."""
        return config_address(self.program)[0]

    @property
    def fee_wallet(self) -> Pubkey:
        """The wallet that protocol fees are paid to."""
        return Pubkey.from_bytes(self.config.protocol_fee_wallet)

    def vote_address(self, kind: VoteKind) -> Pubkey:
        """Return the address of the wallet's vote of this kind."""
        return vote_address(self.program, self.market_address, self.wallet, kind)[0]

    def balance(self, address: Pubkey) -> int:
        """Return an account's lamports; 0 where it does not exist."""
        return self.balances.get(address, 0)
