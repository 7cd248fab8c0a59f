"""Claiming what a position has won."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketAccount, MarketState, UserPosition
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.payout import claim_amount, claim_refusal
from zmart_pipelines.wallet_transactions.act import Act
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
    wrong_state,
)
from zmart_pipelines.wallet_transactions.wording import side, sol


def _payout(market: MarketAccount, position: UserPosition) -> int:
    return claim_amount(
        market.final_outcome,
        shares_yes=position.shares_yes,
        shares_no=position.shares_no,
        total_invested=position.total_invested,
        market_shares_yes=market.shares_yes,
        market_shares_no=market.shares_no,
        current_liquidity=market.current_liquidity,
    )


class Claim(Act, frozen=True, kw_only=True):
    """Claim what the wallet's position has won in a finalized market, once.

    The first claim also pays the resolver. A market without an outcome refunds what was invested.
    """

    NAME: ClassVar[str] = "claim"

    def instruction(self, view: ChainView) -> Instruction:
        """Return claim_winnings."""
        return instructions.claim_winnings(
            view.program,
            user=view.wallet,
            market=view.market_address,
            resolver=Pubkey.from_bytes(view.existing_market.resolver),
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse what is not final, not won, paid already, or more than the market holds."""
        market = view.existing_market
        if view.position is None:
            return by_runtime(
                "AccountNotInitialized", "The wallet has no position in this market.", ""
            )
        error = claim_refusal(
            state=market.state,
            has_claimed=view.position.has_claimed,
            outcome=market.final_outcome,
            payout=_payout(market, view.position),
            balance=view.balance(view.market_address),
            resolver_fees=market.accumulated_resolver_fees,
        )
        if error is ProgramError.InvalidMarketState:
            return wrong_state(market, MarketState.FINALIZED)
        return None if error is None else by_program(error)

    def effects(self, view: ChainView) -> Effects:
        """Return the payout, and the resolver's fee with the first one."""
        market, position = view.existing_market, view.position
        payout = 0 if position is None else _payout(market, position)
        outcome, fee = market.final_outcome, market.accumulated_resolver_fees
        purpose = Purpose.REFUND if outcome is None else Purpose.WINNINGS
        transfers = [Transfer(purpose, view.market_address, view.wallet, payout)]
        sentences = [
            f"Refunds the {sol(payout)} that were invested: the market has no outcome."
            if outcome is None
            else f"Pays {sol(payout)} for the shares of {side(outcome)}, the final outcome."
        ]
        if outcome is not None and fee:
            resolver = Pubkey.from_bytes(market.resolver)
            transfers.append(Transfer(Purpose.RESOLVER_FEE, view.market_address, resolver, fee))
            sentences.append(f"Pays the market's resolver {sol(fee)} from the market.")
        return Effects(
            sentences=tuple(sentences),
            transfers=tuple(transfers),
            market=MarketFigures.of(market),
            holdings=msgspec.structs.replace(Holdings.of(position), has_claimed=True),
        )
