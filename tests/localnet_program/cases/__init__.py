"""All instructions, each in a state in which it succeeds, with its faults."""

from collections.abc import Callable

from tests.localnet_program.cases import config, payout, proposal, resolution, trading, votes
from tests.localnet_program.cases.common import Case
from tests.localnet_program.world import World

CASES: list[Callable[[World], Case]] = [
    config.initialize_global_config,
    config.update_global_config,
    config.emergency_pause,
    proposal.create_market,
    proposal.approve_proposal,
    proposal.activate_market,
    proposal.cancel_market,
    votes.submit_proposal_vote,
    votes.submit_dispute_vote,
    votes.aggregate_proposal_votes,
    votes.aggregate_dispute_votes,
    trading.buy_shares,
    trading.buy_shares_again,
    trading.sell_shares,
    resolution.resolve_market,
    resolution.initiate_dispute,
    resolution.finalize_market,
    resolution.finalize_disputed_market,
    payout.claim_winnings,
    payout.claim_refund,
    payout.withdraw_liquidity,
]
