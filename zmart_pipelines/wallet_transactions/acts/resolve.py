"""Proposing the outcome of a market."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lifecycle import LIFETIME_SECONDS
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.amounts import Cid
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects, MarketFigures
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_program, wrong_state
from zmart_pipelines.wallet_transactions.wording import moment, side, sol


class Resolve(Act, frozen=True, kw_only=True):
    """Propose the outcome (true for YES) of an active market, with the evidence's CIDv0.

    Any wallet may, and becomes the market's resolver, whom the first claim pays. Trading ends.
    """

    NAME: ClassVar[str] = "resolve"

    outcome: bool
    ipfs_evidence_hash: Cid

    def instruction(self, view: ChainView) -> Instruction:
        """Return resolve_market."""
        return instructions.resolve_market(
            view.program,
            resolver=view.wallet,
            market=view.market_address,
            outcome=self.outcome,
            evidence_hash=self.ipfs_evidence_hash.encode(),
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse markets that are not ACTIVE, that just became so, or that are too old."""
        market = view.existing_market
        refusal = wrong_state(market, MarketState.ACTIVE)
        if refusal is not None:
            return refusal
        if view.now > market.created_at + LIFETIME_SECONDS:
            return by_program(
                ProgramError.InvalidTimestamp,
                "The market was created more than ten years ago.",
                "",
            )
        if view.now <= max(market.activated_at, market.created_at - 1):
            return by_program(
                ProgramError.InvalidTimestamp,
                "The market was activated in this second of the chain's clock.",
            )
        return None

    def effects(self, view: ChainView) -> Effects:
        """Return the market in state RESOLVING."""
        market = view.existing_market
        after = msgspec.structs.replace(MarketFigures.of(market), state=MarketState.RESOLVING)
        end = moment(view.now + view.config.dispute_period)
        return Effects(
            sentences=(
                (
                    f"Proposes the outcome {side(self.outcome)} and ends trading: ACTIVE becomes"
                    " RESOLVING."
                ),
                (
                    f"Until about {end} any wallet may dispute it. The first claim after that pays"
                    f" the resolver {sol(market.accumulated_resolver_fees)}."
                ),
            ),
            market=after,
        )
