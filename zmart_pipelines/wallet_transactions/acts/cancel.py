"""Cancelling a market before trading."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.administration import admin_refusal
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects, MarketFigures
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_program


class Cancel(Act, frozen=True, kw_only=True):
    """Cancel a market that is proposed or approved, for ever; only the admin may."""

    NAME: ClassVar[str] = "cancel"

    def instruction(self, view: ChainView) -> Instruction:
        """Return cancel_market."""
        return instructions.cancel_market(
            view.program, admin=view.wallet, market=view.market_address
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse other wallets, and markets that trading was opened for."""
        refusal = admin_refusal(view)
        if refusal is not None:
            return refusal
        state = view.existing_market.state
        if state is MarketState.CANCELLED:
            return by_program(ProgramError.MarketAlreadyCancelled)
        if state not in (MarketState.PROPOSED, MarketState.APPROVED):
            return by_program(
                ProgramError.CannotCancelMarket,
                f"The market is {state.name}; only PROPOSED and APPROVED can be cancelled.",
            )
        return None

    def effects(self, view: ChainView) -> Effects:
        """Return the market in state CANCELLED."""
        before = MarketFigures.of(view.existing_market)
        return Effects(
            sentences=(
                f"Cancels the market: {before.state.name} becomes CANCELLED.",
                "This cannot be undone, and nothing is refunded.",
            ),
            market=msgspec.structs.replace(before, state=MarketState.CANCELLED),
        )
