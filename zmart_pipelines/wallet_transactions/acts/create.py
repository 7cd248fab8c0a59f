"""Creating a market."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta
from solders.instruction import Instruction

from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketAccount, MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lmsr import MIN_B, Pool
from zmart_pipelines.wallet_transactions.act import Act, Subject
from zmart_pipelines.wallet_transactions.amounts import MAX_LAMPORTS, Cid, Lamports
from zmart_pipelines.wallet_transactions.chain_view import ChainView
from zmart_pipelines.wallet_transactions.effects import (
    Effects,
    MarketFigures,
    new_account,
    rent_of,
)
from zmart_pipelines.wallet_transactions.refusals import (
    Reason,
    Refusal,
    address_in_use,
    by_program,
)
from zmart_pipelines.wallet_transactions.wording import decimal, sol


class Create(Act, frozen=True, kw_only=True):
    """Create the market of a draft: `market_id` and the other arguments are in the draft.

    `liquidity` (lamports) is a number that payouts are computed from; it is not paid in.
    `b_parameter` has 9 decimals.
    """

    NAME: ClassVar[str] = "create"
    SUBJECT: ClassVar[Subject] = "new market"

    liquidity: Lamports
    b_parameter: Annotated[int, Meta(ge=MIN_B, le=MAX_LAMPORTS)]
    ipfs_question_hash: Cid

    def instruction(self, view: ChainView) -> Instruction:
        """Return create_market."""
        return instructions.create_market(
            view.program,
            creator=view.wallet,
            market_id=view.market_id or b"",
            b_parameter=self.b_parameter,
            initial_liquidity=self.liquidity,
            question_hash=self.ipfs_question_hash.encode(),
        )

    def refusal(self, view: ChainView) -> Refusal | None:
        """Refuse a market that exists, and everything while the protocol is paused."""
        if view.market is not None:
            return address_in_use(
                Reason.MARKET_EXISTS, "The market is on chain already.", "Use another draft."
            )
        return by_program(ProgramError.ProtocolPaused) if view.config.is_paused else None

    def effects(self, view: ChainView) -> Effects:
        """Return the market in state PROPOSED, without deposit, and its rent."""
        account = new_account(view, MarketAccount, view.market_address)
        return Effects(
            sentences=(
                f"Creates the market in state PROPOSED with b {decimal(self.b_parameter)}.",
                (
                    f"Pays {sol(account.rent)} rent for its account, which is never returned;"
                    f" the liquidity of {sol(self.liquidity)} is only a number and is not paid."
                ),
            ),
            transfers=(rent_of(view, account),),
            created=(account,),
            market=MarketFigures(
                MarketState.PROPOSED, Pool.fresh(self.b_parameter), self.liquidity
            ),
        )
