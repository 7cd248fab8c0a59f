"""Random actions on a market, for any kind of chain."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Protocol

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketAccount, MarketState
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM

SOL: Final = 10**9


class Actors(Protocol):
    """The wallets that act, and their view of a market."""

    @property
    def admin(self) -> Pubkey: ...

    @property
    def backend(self) -> Pubkey: ...

    @property
    def users(self) -> Sequence[Pubkey]: ...

    def buying(
        self, market_id: bytes, user: Pubkey, outcome: bool = True, cost: int = SOL
    ) -> Instruction:
        """One purchase; ``cost`` in lamports."""

    def market(self, market_id: bytes) -> MarketAccount:
        """The account as of now."""


def random_action(
    dice: random.Random, actors: Actors, market_id: bytes, window: int
) -> list[Instruction]:
    """Return an action that a wallet might try in the market's current state.

    Args:
        window: a dispute period that the configuration sometimes gets, in seconds.
    """
    market, _ = market_address(PROGRAM, market_id)
    user = dice.choice(actors.users)
    state = actors.market(market_id).state
    side = dice.random() < 0.6
    buys = [
        actors.buying(market_id, user, dice.random() < 0.6, dice.randrange(10**7, 3 * SOL))
        for _ in range(dice.choice((1, 1, 1, 2, 3)))
    ]
    like = ix.submit_proposal_vote(PROGRAM, user=user, market=market, vote=side)
    agree = ix.submit_dispute_vote(PROGRAM, user=user, market=market, vote=side)
    likely: dict[MarketState, list[list[Instruction]]] = {
        MarketState.PROPOSED: [
            [like],
            [
                ix.aggregate_proposal_votes(
                    PROGRAM,
                    backend_authority=actors.backend,
                    market=market,
                    likes=dice.randint(5, 20),
                    dislikes=dice.randint(0, 4),
                )
            ],
            [ix.approve_proposal(PROGRAM, admin=actors.admin, market=market)],
            [ix.cancel_market(PROGRAM, admin=actors.admin, market=market)]
            if dice.random() < 0.2
            else [like],
        ],
        MarketState.APPROVED: [
            [ix.activate_market(PROGRAM, authority=actors.admin, market=market)]
        ],
        MarketState.ACTIVE: [
            *[buys] * 6,
            [
                ix.resolve_market(
                    PROGRAM,
                    resolver=user,
                    market=market,
                    outcome=side,
                    evidence_hash=b"Qm" + b"e" * 44,
                )
            ],
        ],
        MarketState.RESOLVING: [
            [ix.initiate_dispute(PROGRAM, initiator=user, market=market)],
            [ix.finalize_market(PROGRAM, backend_authority=actors.backend, market=market)],
        ],
        MarketState.DISPUTED: [
            [agree],
            [
                ix.finalize_market(
                    PROGRAM,
                    backend_authority=actors.backend,
                    market=market,
                    dispute_agree=dice.randint(0, 9),
                    dispute_disagree=dice.randint(0, 9),
                )
            ],
            [
                ix.aggregate_dispute_votes(
                    PROGRAM,
                    backend_authority=actors.backend,
                    market=market,
                    agrees=dice.randint(0, 9),
                    disagrees=dice.randint(0, 9),
                )
            ],
        ],
        MarketState.FINALIZED: [
            *[
                [
                    ix.claim_winnings(
                        PROGRAM,
                        user=one,
                        market=market,
                        resolver=Pubkey(actors.market(market_id).resolver),
                    )
                ]
                for one in actors.users
            ],
            [
                ix.withdraw_liquidity(
                    PROGRAM, creator=Pubkey(actors.market(market_id).creator), market=market
                )
            ],
        ],
        MarketState.CANCELLED: [buys],
    }
    if dice.random() < 0.1:
        fees = dice.choice(((300, 200, 500), (100, 100, 200), (50, 0, 1), (333, 77, 590)))
        return [
            ix.update_global_config(
                PROGRAM,
                admin=actors.admin,
                protocol_fee_bps=fees[0],
                resolver_reward_bps=fees[1],
                liquidity_provider_fee_bps=fees[2],
                proposal_approval_threshold=7000,
                dispute_success_threshold=6000,
                dispute_period=dice.choice((None, window, window * 2)),
            )
        ]
    return dice.choice(likely[state])
