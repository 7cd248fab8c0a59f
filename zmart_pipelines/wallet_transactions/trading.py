"""What trades have in common."""

from __future__ import annotations

from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState, UserPosition
from zmart_pipelines.program.lmsr import Pool
from zmart_pipelines.program.quotes import Figures, Quote
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import (
    Effects,
    Holdings,
    MarketFigures,
    Purpose,
    Transfer,
    new_account,
    rent_of,
)
from zmart_pipelines.wallet_transactions.refusals import Refusal, of_quote, wrong_state
from zmart_pipelines.wallet_transactions.wording import decimal, shares, side, sol


def trade_refusal(view: ChainView, quote: Quote, unit: str) -> Refusal | None:
    """Return the refusal of a quoted trade; ``unit`` is that of the smallest one."""
    return wrong_state(view.existing_market, MarketState.ACTIVE) or of_quote(quote, unit)


def buy_instruction(view: ChainView, outcome: bool, budget: int) -> Instruction:
    """Return buy_shares for a budget in lamports."""
    return instructions.buy_shares(
        view.program,
        user=view.wallet,
        market=view.market_address,
        protocol_fee_wallet=view.fee_wallet,
        outcome=outcome,
        target_cost=budget,
    )


def buy_effects(view: ChainView, outcome: bool, figures: Figures) -> Effects:
    """Return what a buy with these figures does, with the position that the first one creates."""
    market = view.existing_market
    fees = figures.fees
    sentences = [
        (
            f"Buys {shares(figures.shares, outcome)} for {sol(figures.total)}, of which"
            f" {sol(fees.total)} are fees."
        ),
        (
            f"Moves the price of {side(outcome)} from {decimal(figures.price_before)} to"
            f" {decimal(figures.price_after)}. If it moves before this transaction lands, the same"
            " lamports buy more or fewer shares: the program has no limit for that."
        ),
    ]
    transfers = [
        Transfer(Purpose.TRADE, view.wallet, view.market_address, figures.total - fees.protocol),
        Transfer(Purpose.PROTOCOL_FEE, view.wallet, view.fee_wallet, fees.protocol),
    ]
    created = []
    if view.position is None:
        created = [new_account(view, UserPosition, view.position_address)]
        transfers.insert(0, rent_of(view, created[0]))
        sentences.append(
            f"Pays {sol(created[0].rent)} rent for the wallet's position in this market, once;"
            " it is never returned."
        )
    return Effects(
        sentences=tuple(sentences),
        transfers=tuple(transfers),
        created=tuple(created),
        trade=figures,
        market=MarketFigures(
            market.state,
            Pool.of(market).moved(outcome, figures.shares),
            market.current_liquidity + fees.resolver + fees.lp,
        ),
        holdings=Holdings.of(view.position).moved(outcome, figures.shares),
    )


def figures_of(figures: Figures | None) -> Figures:
    """Return the figures of a trade that is not refused."""
    if figures is None:
        raise LookupError("a trade without figures is refused")
    return figures
