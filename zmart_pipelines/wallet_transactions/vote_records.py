"""What voting on proposals and on disputes has in common."""

from __future__ import annotations

from zmart_pipelines.program.accounts import MarketState, VoteKind, VoteRecord
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import Effects, new_account, rent_of
from zmart_pipelines.wallet_transactions.refusals import (
    Reason,
    Refusal,
    address_in_use,
    wrong_state,
)
from zmart_pipelines.wallet_transactions.wording import sol


def vote_refusal(view: ChainView, state: MarketState) -> Refusal | None:
    """Return why a vote would be refused: a second one, or in another state."""
    if view.has_voted:
        return address_in_use(
            Reason.ALREADY_VOTED,
            "This wallet has voted on chain already, and votes on chain are final.",
            "",
        )
    return wrong_state(view.existing_market, state, error=ProgramError.InvalidStateForVoting)


def vote_effects(view: ChainView, kind: VoteKind, sentence: str) -> Effects:
    """Return the new record of the vote; the market does not change."""
    record = new_account(view, VoteRecord, view.vote_address(kind))
    return Effects(
        sentences=(
            sentence,
            (
                f"Pays {sol(record.rent)} rent for the record of the vote, which is never returned;"
                " the vote is final. A signed ballot costs nothing and counts alike."
            ),
        ),
        transfers=(rent_of(view, record),),
        created=(record,),
    )
