"""Approving a proposed market."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lifecycle import meets_threshold, share_bps
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.administration import admin_refusal
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects, MarketFigures
from zmart_pipelines.wallet_transactions.refusals import Refusal, by_program, wrong_state


def _counts(view: ChainView) -> str:
    market = view.existing_market
    likes, dislikes = market.proposal_likes, market.proposal_dislikes
    return (
        f"{likes} likes and {dislikes} dislikes on chain,"
        f" {share_bps(likes, market.proposal_total_votes)} bps; the threshold is"
        f" {view.config.proposal_approval_threshold} bps"
    )


class Approve(Act, frozen=True, kw_only=True):
    """Approve a proposed market whose counts on chain reach the threshold; only the admin may."""

    NAME: ClassVar[str] = "approve"

    def instruction(self, view: ChainView) -> Instruction:
        """Return approve_proposal."""
        return instructions.approve_proposal(
            view.program, admin=view.wallet, market=view.market_address
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse other wallets, other states, and counts below the threshold."""
        market = view.existing_market
        refusal = admin_refusal(view) or wrong_state(
            market, MarketState.PROPOSED, error=ProgramError.InvalidStateTransition
        )
        if refusal is not None:
            return refusal
        total = market.proposal_total_votes
        if total == 0:
            return by_program(ProgramError.NoVotesRecorded, f"It has {_counts(view)}.")
        threshold = view.config.proposal_approval_threshold
        if not meets_threshold(market.proposal_likes, total, threshold):
            return by_program(ProgramError.InsufficientVotes, f"It has {_counts(view)}.")
        return None

    def effects(self, view: ChainView) -> Effects:
        """Return the market in state APPROVED."""
        after = msgspec.structs.replace(
            MarketFigures.of(view.existing_market), state=MarketState.APPROVED
        )
        return Effects(
            sentences=(
                f"Approves the proposal: PROPOSED becomes APPROVED. It has {_counts(view)}.",
            ),
            market=after,
        )
