"""Disputing a proposed outcome."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lifecycle import dispute_window_end
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects, MarketFigures
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_program, wrong_state
from zmart_pipelines.wallet_transactions.wording import moment, side


class Dispute(Act, frozen=True, kw_only=True):
    """Dispute the proposed outcome of a market inside its window; any wallet may.

    It opens the vote that decides whether the outcome is reversed.
    """

    NAME: ClassVar[str] = "dispute"

    def instruction(self, view: ChainView) -> Instruction:
        """Return initiate_dispute."""
        return instructions.initiate_dispute(
            view.program, initiator=view.wallet, market=view.market_address
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse markets that are not RESOLVING, and times outside the window."""
        market = view.existing_market
        refusal = wrong_state(market, MarketState.RESOLVING)
        if refusal is not None:
            return refusal
        if view.now <= market.resolution_proposed_at:
            return by_program(
                ProgramError.InvalidTimestamp,
                "The outcome was proposed in this second of the chain's clock.",
            )
        end = dispute_window_end(market.resolution_proposed_at, view.config.dispute_period)
        if view.now >= end:
            return by_program(
                ProgramError.DisputePeriodEnded,
                f"The outcome could be disputed until {moment(end)}.",
            )
        return None

    def effects(self, view: ChainView) -> Effects:
        """Return the market in state DISPUTED."""
        market = view.existing_market
        proposed = side(bool(market.proposed_outcome))
        return Effects(
            sentences=(
                (
                    f"Disputes the proposed outcome {proposed}: the market becomes DISPUTED, and"
                    " votes decide whether the outcome is reversed."
                ),
            ),
            market=msgspec.structs.replace(MarketFigures.of(market), state=MarketState.DISPUTED),
        )
