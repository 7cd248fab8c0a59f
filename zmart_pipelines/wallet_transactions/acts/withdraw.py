"""Withdrawing what is left in a market."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.payout import MARKET_RENT, WITHDRAWAL_RESERVE
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects, MarketFigures, Purpose, Transfer
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_program, wrong_state
from zmart_pipelines.wallet_transactions.wording import sol


class Withdraw(Act, frozen=True, kw_only=True):
    """Withdraw all that a finalized market holds above its rent; only its creator may.

    Claims that were not paid before that can never be paid: the program does not wait for them.
    """

    NAME: ClassVar[str] = "withdraw"

    def instruction(self, view: ChainView) -> Instruction:
        """Return withdraw_liquidity."""
        return instructions.withdraw_liquidity(
            view.program, creator=view.wallet, market=view.market_address
        )

    def _amount(self, view: ChainView) -> int:
        return view.balance(view.market_address) - MARKET_RENT - WITHDRAWAL_RESERVE

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse other wallets, markets that are not FINALIZED, and empty ones."""
        market = view.existing_market
        if market.creator != bytes(view.wallet):
            return by_program(
                ProgramError.Unauthorized, "Only the market's creator may withdraw from it."
            )
        refusal = wrong_state(market, MarketState.FINALIZED)
        if refusal is not None:
            return refusal
        if self._amount(view) <= 0:
            return by_program(
                ProgramError.InsufficientLiquidity, "The market holds no more than its rent.", ""
            )
        return None

    def effects(self, view: ChainView) -> Effects:
        """Return the payment, after which the market counts no liquidity."""
        amount = self._amount(view)
        after = msgspec.structs.replace(MarketFigures.of(view.existing_market), current_liquidity=0)
        return Effects(
            sentences=(
                f"Withdraws {sol(amount)} from the market to its creator.",
                "Claims that are still due can never be paid after it.",
            ),
            transfers=(Transfer(Purpose.LIQUIDITY, view.market_address, view.wallet, amount),),
            market=after,
        )
