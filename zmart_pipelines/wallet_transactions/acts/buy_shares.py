"""Buying a number of shares."""

from __future__ import annotations

from typing import ClassVar

from solders.instruction import Instruction

from zmart_pipelines.program import quotes
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.amounts import Lamports, Shares
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_program
from zmart_pipelines.wallet_transactions.trading import (
    buy_effects,
    buy_instruction,
    figures_of,
    trade_refusal,
)


class BuyShares(Act, frozen=True, kw_only=True):
    """Buy at least `shares` (9 decimals) of one side, for the smallest budget that gives them now.

    It is refused where that costs more than `max_cost` lamports. The transaction spends at most
    the budget, whatever the price is then; a later change of the price may give fewer shares.
    """

    NAME: ClassVar[str] = "buy-shares"

    outcome: bool
    shares: Shares
    max_cost: Lamports | None = None

    def _quote(self, view: ChainView) -> quotes.Quote:
        terms = quotes.Terms.of(view.existing_market, view.config)
        return quotes.quote_shares(terms, self.outcome, self.shares)

    def instruction(self, view: ChainView) -> Instruction:
        """Return buy_shares with the budget that gives the shares."""
        budget = figures_of(self._quote(view).figures).budget
        return buy_instruction(view, self.outcome, budget or 0)

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse by the program's arithmetic, and where the shares cost too much."""
        quote = self._quote(view)
        refusal = trade_refusal(view, quote, "lamports")
        if refusal is not None or self.max_cost is None:
            return refusal
        figures = figures_of(quote.figures)
        if figures.total <= self.max_cost:
            return None
        return by_program(
            ProgramError.SlippageExceeded,
            f"{self.shares} shares cost {figures.total} lamports at the current price.",
            "Raise max_cost, or lower the number of shares.",
            "max_cost",
        )

    def effects(self, view: ChainView) -> Effects:
        """Return the trade."""
        return buy_effects(view, self.outcome, figures_of(self._quote(view).figures))
