"""Selling shares."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta
from solders.instruction import Instruction

from zmart_pipelines.program import instructions, quotes
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lmsr import Pool
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.amounts import MAX_SHARES, Shares
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import (
    Effects,
    Holdings,
    MarketFigures,
    Purpose,
    Transfer,
)
from zmart_pipelines.wallet_transactions.refusals import (
    Refusal,
    by_program,
    by_runtime,
)
from zmart_pipelines.wallet_transactions.trading import figures_of, trade_refusal
from zmart_pipelines.wallet_transactions.wording import decimal, shares, side, sol


class Sell(Act, frozen=True, kw_only=True):
    """Sell `shares` (9 decimals) of one side for at least `min_proceeds` lamports after fees.

    As deployed the program computes a sale but cannot pay for it: every sale is refused with
    `sale_unsupported` by the simulation, and would work with a program that pays.
    """

    NAME: ClassVar[str] = "sell"

    outcome: bool
    shares: Shares
    min_proceeds: Annotated[int, Meta(ge=0, le=MAX_SHARES)] = 0

    def _quote(self, view: ChainView) -> quotes.Quote:
        terms = quotes.Terms.of(view.existing_market, view.config)
        return quotes.quote_sale(terms, self.outcome, self.shares, self.min_proceeds)

    def instruction(self, view: ChainView) -> Instruction:
        """Return sell_shares."""
        return instructions.sell_shares(
            view.program,
            user=view.wallet,
            market=view.market_address,
            protocol_fee_wallet=view.fee_wallet,
            outcome=self.outcome,
            shares=self.shares,
            min_proceeds=self.min_proceeds,
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse what the wallet does not hold, and what the arithmetic refuses.

        Whether the program can pay is left to the simulation.
        """
        if view.position is None:
            return by_runtime("AccountNotInitialized", "The wallet has no position in this market.")
        quote = self._quote(view)
        standing = quotes.standing_refusal(quotes.Terms.of(view.existing_market, view.config))
        held = view.position.shares_yes if self.outcome else view.position.shares_no
        if standing is None and held < self.shares:
            return by_program(
                ProgramError.InsufficientShares,
                f"The wallet holds {shares(held, self.outcome)}.",
            )
        return trade_refusal(view, quote, "shares")

    def effects(self, view: ChainView) -> Effects:
        """Return the trade, as the program means it."""
        market = view.existing_market
        figures = figures_of(self._quote(view).figures)
        fees = figures.fees
        return Effects(
            sentences=(
                (
                    f"Sells {shares(figures.shares, self.outcome)} for {sol(figures.total)} after"
                    f" {sol(fees.total)} of fees."
                ),
                (
                    f"Moves the price of {side(self.outcome)} from {decimal(figures.price_before)}"
                    f" to {decimal(figures.price_after)}."
                ),
            ),
            transfers=(
                Transfer(Purpose.PROCEEDS, view.market_address, view.wallet, figures.total),
                Transfer(Purpose.PROTOCOL_FEE, view.market_address, view.fee_wallet, fees.protocol),
            ),
            trade=figures,
            market=MarketFigures(
                market.state,
                Pool.of(market).moved(self.outcome, -figures.shares),
                market.current_liquidity - figures.total - fees.protocol,
            ),
            holdings=Holdings.of(view.position).moved(self.outcome, -figures.shares),
        )
