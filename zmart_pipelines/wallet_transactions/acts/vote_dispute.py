"""Voting on a dispute."""

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
from zmart_pipelines.wallet_transactions.wording import side


class VoteDispute(Act, frozen=True, kw_only=True):
    """Vote on chain on a dispute: `vote` is true to agree that the proposed outcome is wrong."""

    NAME: ClassVar[str] = "vote-dispute"
    VOTE: ClassVar[VoteKind | None] = VoteKind.DISPUTE

    vote: bool

    def instruction(self, view: ChainView) -> Instruction:
        """Return submit_dispute_vote."""
        return instructions.submit_dispute_vote(
            view.program, user=view.wallet, market=view.market_address, vote=self.vote
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse a second vote, and votes on markets that are not DISPUTED."""
        return vote_refusal(view, MarketState.DISPUTED)

    def effects(self, view: ChainView) -> Effects:
        """Return the record of the vote."""
        word = "Agrees" if self.vote else "Disagrees"
        proposed = side(bool(view.existing_market.proposed_outcome))
        return vote_effects(
            view, VoteKind.DISPUTE, f"{word} that the proposed outcome {proposed} is wrong."
        )
