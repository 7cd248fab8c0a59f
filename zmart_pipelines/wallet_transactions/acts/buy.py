"""Buying shares for a budget."""

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


class Buy(Act, frozen=True, kw_only=True):
    """Buy shares of one side for at most `max_cost` lamports, fees included.

    It is refused where that buys fewer than `min_shares` (9 decimals) now. The program itself
    knows no smallest number, so that a later change of the price may still give fewer.
    """

    NAME: ClassVar[str] = "buy"

    outcome: bool
    max_cost: Lamports
    min_shares: Shares | None = None

    def _quote(self, view: ChainView) -> quotes.Quote:
        terms = quotes.Terms.of(view.existing_market, view.config)
        return quotes.quote_budget(terms, self.outcome, self.max_cost)

    def instruction(self, view: ChainView) -> Instruction:
        """Return buy_shares."""
        return buy_instruction(view, self.outcome, self.max_cost)

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse by the program's arithmetic, and where the budget buys too few."""
        quote = self._quote(view)
        refusal = trade_refusal(view, quote, "lamports")
        if refusal is not None or self.min_shares is None:
            return refusal
        bought = figures_of(quote.figures).shares
        if bought >= self.min_shares:
            return None
        return by_program(
            ProgramError.SlippageExceeded,
            f"{self.max_cost} lamports buy only {bought} shares at the current price.",
            "Raise max_cost, or lower the number of shares.",
            "max_cost",
        )

    def effects(self, view: ChainView) -> Effects:
        """Return the trade."""
        return buy_effects(view, self.outcome, figures_of(self._quote(view).figures))
