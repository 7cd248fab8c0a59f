"""What leaves a finalized market."""

from dataclasses import replace

from tests.localnet_program import wire
from tests.localnet_program.attempts import (
    ELSEWHERE,
    Slot,
    account_faults,
    base,
    change,
    copied,
    other_account,
    readonly,
    signed_by_stranger,
)
from tests.localnet_program.cases.common import (
    CONFIG,
    MARKET,
    SYSTEM,
    Case,
    fresh,
    market_faults,
)
from tests.localnet_program.world import SOL, World


def _claim(world: World) -> Case:
    slots = [
        CONFIG,
        MARKET,
        Slot("position", "typed", "w"),
        Slot("user", "signer", "sw", world.users[0].pubkey()),
        Slot("resolver", "any", "w", world.resolver.pubkey()),
        SYSTEM,
    ]
    attempt = base(world, "claim_winnings", fresh(slots))
    attempt.market = replace(
        attempt.market, state=wire.FINALIZED, proposed_outcome=True, accumulated_resolver_fees=SOL
    )
    return attempt, [
        *account_faults(attempt),
        copied("global_config"),
        *market_faults(6007, wire.DISPUTED),
        copied("position"),
        readonly("position"),
        change("position.user", ELSEWHERE, 2001, "position"),
        change("position.has_claimed", True, 6022, "position"),
        readonly("user"),
        readonly("resolver"),
        other_account("resolver", 6031),
        change("market.is_locked", True, 6048),
    ]


def claim_winnings(world: World) -> Case:
    """Winnings are 2/5 of 10 SOL, and the resolver waits for 1 SOL."""
    attempt, faults = _claim(world)
    attempt.market.final_outcome = True
    return attempt, [
        *faults,
        change("position.shares_yes", 0, 6023),
        change("market.shares_yes", 0, 6035),
        change("market.current_liquidity", 2, 6023),
        change("market_lamports", 5 * SOL - 1, 6016),
        change("market_lamports", 5 * SOL, 6047),
    ]


def claim_refund(world: World) -> Case:
    attempt, faults = _claim(world)
    return attempt, [
        *faults,
        change("position.total_invested", 0, 6023),
        change("market_lamports", SOL - 1, 6016),
        change("market_lamports", SOL + 4_287_359, 6047),
    ]


def withdraw_liquidity(world: World) -> Case:
    slots = [MARKET, Slot("creator", "signer", "sw", world.creator.pubkey())]
    attempt = base(world, "withdraw_liquidity", fresh(slots))
    attempt.market.state = wire.FINALIZED
    return attempt, [
        *account_faults(attempt),
        copied("market"),
        readonly("market"),
        signed_by_stranger("creator", culprit="market"),
        change("market.state", wire.RESOLVING, 6007, "market"),
        readonly("creator"),
        change("market_lamports", 4_287_360 + 10_000, 6016),
    ]
