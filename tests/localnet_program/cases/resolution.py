"""From a proposed outcome to the final one."""

from dataclasses import replace

from tests.localnet_program import wire
from tests.localnet_program.attempts import (
    Attempt,
    Fault,
    Slot,
    account_faults,
    base,
    change,
    copied,
    readonly,
    signed_by_stranger,
)
from tests.localnet_program.cases.common import (
    CONFIG,
    MARKET,
    TEN_YEARS,
    Case,
    fresh,
    market_faults,
)
from tests.localnet_program.wire import flag, option, u32
from tests.localnet_program.world import EVIDENCE, SOL, START, World


def resolve_market(world: World) -> Case:
    slots = [CONFIG, MARKET, Slot("resolver", "signer", "sw", world.resolver.pubkey())]
    attempt = base(world, "resolve_market", fresh(slots), flag(True), EVIDENCE)
    return attempt, [
        *account_faults(attempt),
        copied("global_config"),
        *market_faults(6007, wire.RESOLVING),
        readonly("resolver"),
        change("market.proposed_outcome", True, 6026),
        change("now", START - 1, 6044),
        change("now", START + TEN_YEARS + 1, 6044),
        change("market.activated_at", START + 1000, 6044),
    ]


def initiate_dispute(world: World) -> Case:
    slots = [CONFIG, MARKET, Slot("initiator", "signer", "s", world.users[0].pubkey())]
    attempt = base(world, "initiate_dispute", fresh(slots))
    attempt.market = replace(
        attempt.market,
        state=wire.RESOLVING,
        proposed_outcome=True,
        resolution_proposed_at=START + 999,
    )
    return attempt, [
        *account_faults(attempt),
        copied("global_config"),
        *market_faults(6007, wire.DISPUTED),
        change("now", START + 999, 6044),
        change("now", START + 999 + 500, 6020),
    ]


def _finalize(world: World, state: int) -> Attempt:
    slots = [
        CONFIG,
        MARKET,
        Slot("backend_authority", "signer", "s", world.backend.pubkey()),
    ]
    arguments = [option(u32(6)), option(u32(4))]
    attempt = base(world, "finalize_market", fresh(slots), *arguments)
    attempt.market = replace(
        attempt.market,
        state=state,
        proposed_outcome=True,
        resolution_proposed_at=START + 500,
    )
    return attempt


def _finalize_constraints(attempt: Attempt) -> list[Fault]:
    return [
        *account_faults(attempt),
        copied("global_config"),
        *market_faults(6007, wire.ACTIVE),
        signed_by_stranger("backend_authority"),
        change("now", START - 1, 6044),
        change("now", START + TEN_YEARS + 1, 6044),
        change("now", START + 500, 6044),
    ]


LOSS = change("market.initial_liquidity", 10 * SOL + 69_314_718_001, 6041)


def finalize_market(world: World) -> Case:
    attempt = _finalize(world, wire.RESOLVING)
    early = change("now", START + 999, 6027)
    return attempt, [*_finalize_constraints(attempt), early, LOSS]


def finalize_disputed_market(world: World) -> Case:
    attempt = _finalize(world, wire.DISPUTED)
    return attempt, [
        *_finalize_constraints(attempt),
        change("arguments.0", option(None), 6024),
        change("arguments.1", option(None), 6024),
        change("arguments.0", option(u32(2**32 - 4)), 6033),
        LOSS,
    ]
