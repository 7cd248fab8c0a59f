"""A dispute whose votes do not fit the chain's u32."""

from __future__ import annotations

from tests.submissions.world import World
from tests.voting.world import wallet


def oversized_vote(world: World, *, period: int) -> bytes:
    """Let three holders vote with 1.8 billion votes each, until the vote is over.

    The vote begins while the ledger knows the trade of the first holder alone, so that a unit of
    one share fits; webhooks of the other trades were lost, and they become known during the vote.

    Args:
        world: A world without a market.
        period: The chain's dispute period in seconds.
    """
    holders = [wallet(number) for number in (1, 2, 3)]
    world.fund(*holders)
    market = world.approve(1, holders[0])
    world.trade(market, holders[0], holders[0])
    late = [world.buy(market, holder) for holder in holders[1:]]
    world.resolve(market, holders[0])
    world.dispute(market, holders[0])
    world.settings = world.settings.model_copy(update={"dispute_weight_unit": 1})
    world.sync(without=late)
    world.vote(market, [True], kind="dispute")
    world.sync()
    world.vote(market, [True, False], kind="dispute", first=2)
    world.pass_time(period + 60)
    return market
