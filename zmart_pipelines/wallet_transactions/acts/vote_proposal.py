"""Voting on a proposal."""

from __future__ import annotations

from typing import ClassVar

from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState, VoteKind
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.refusals import Refusal
from zmart_pipelines.wallet_transactions.vote_records import vote_effects, vote_refusal


class VoteProposal(Act, frozen=True, kw_only=True):
    """Vote on chain on a proposed market: `vote` is true to like it, false to dislike it."""

    NAME: ClassVar[str] = "vote-proposal"
    VOTE: ClassVar[VoteKind | None] = VoteKind.PROPOSAL

    vote: bool

    def instruction(self, view: ChainView) -> Instruction:
        """Return submit_proposal_vote."""
        return instructions.submit_proposal_vote(
            view.program, user=view.wallet, market=view.market_address, vote=self.vote
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse a second vote, and votes on markets that are not PROPOSED."""
        return vote_refusal(view, MarketState.PROPOSED)

    def effects(self, view: ChainView) -> Effects:
        """Return the record of the vote."""
        word = "Likes" if self.vote else "Dislikes"
        return vote_effects(view, VoteKind.PROPOSAL, f"{word} the proposed market.")
