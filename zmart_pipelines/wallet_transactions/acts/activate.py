"""Opening a market for trading."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects, MarketFigures
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_program, wrong_state


class Activate(Act, frozen=True, kw_only=True):
    """Open an approved market for trading; its creator and the admin may."""

    NAME: ClassVar[str] = "activate"

    def instruction(self, view: ChainView) -> Instruction:
        """Return activate_market."""
        return instructions.activate_market(
            view.program, authority=view.wallet, market=view.market_address
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse other wallets, and markets that are not APPROVED."""
        market = view.existing_market
        if bytes(view.wallet) not in (market.creator, view.config.admin):
            return by_program(
                ProgramError.Unauthorized,
                "Only the market's creator and the admin may activate it.",
            )
        return wrong_state(market, MarketState.APPROVED, error=ProgramError.InvalidStateTransition)

    def effects(self, view: ChainView) -> Effects:
        """Return the market in state ACTIVE."""
        after = msgspec.structs.replace(
            MarketFigures.of(view.existing_market), state=MarketState.ACTIVE
        )
        return Effects(
            sentences=("Opens the market for trading: APPROVED becomes ACTIVE.",), market=after
        )
