"""A market until it opens or is cancelled."""

from dataclasses import replace

from tests.localnet_program import wire
from tests.localnet_program.attempts import (
    ELSEWHERE,
    Slot,
    account_faults,
    base,
    change,
    copied,
    creating,
    readonly,
    signed_by_stranger,
)
from tests.localnet_program.cases.common import (
    CONFIG,
    MARKET,
    SYSTEM,
    Case,
    fresh,
)
from tests.localnet_program.wire import u64
from tests.localnet_program.world import QUESTION, SOL, World


def create_market(world: World) -> Case:
    slots = [
        Slot("creator", "signer", "sw", world.creator.pubkey()),
        Slot("market", "new", "w"),
        CONFIG,
        SYSTEM,
    ]
    arguments = [world.market_id, u64(100 * SOL), u64(SOL), QUESTION]
    attempt = base(world, "create_market", fresh(slots), *arguments)
    attempt.absent = frozenset({"market"})
    return attempt, [
        *account_faults(attempt),
        *creating("market", "creator"),
        copied("global_config"),
        change("config.is_paused", True, 6010),
        change("arguments.1", u64(0), 6042),
        change("arguments.2", u64(0), 6017),
    ]


def approve_proposal(world: World) -> Case:
    slots = [Slot("admin", "signer", "sw", world.admin.pubkey()), MARKET, CONFIG]
    attempt = base(world, "approve_proposal", fresh(slots))
    attempt.market = replace(attempt.market, state=wire.PROPOSED, proposal_votes=(7, 3))
    return attempt, [
        *account_faults(attempt),
        readonly("admin"),
        copied("market"),
        readonly("market"),
        copied("global_config"),
        change("config.admin", ELSEWHERE, 6029, "global_config"),
        change("market.state", wire.APPROVED, 6006),
        change("market.proposal_votes", (0, 0), 6024),
        change("market.proposal_votes", (6999, 3001), 6025),
    ]


def activate_market(world: World) -> Case:
    slots = [Slot("authority", "signer", "sw", world.creator.pubkey()), MARKET, CONFIG]
    attempt = base(world, "activate_market", fresh(slots))
    attempt.market.state = wire.APPROVED
    return attempt, [
        *account_faults(attempt),
        readonly("authority"),
        signed_by_stranger("authority"),
        copied("market"),
        readonly("market"),
        copied("global_config"),
        change("market.state", wire.PROPOSED, 6006),
        change("market.current_liquidity", SOL, 6016),
    ]


def cancel_market(world: World) -> Case:
    slots = [Slot("admin", "signer", "s", world.admin.pubkey()), MARKET, CONFIG]
    attempt = base(world, "cancel_market", fresh(slots))
    attempt.market.state = wire.APPROVED
    return attempt, [
        *account_faults(attempt),
        copied("market"),
        readonly("market"),
        copied("global_config"),
        change("config.admin", ELSEWHERE, 6029, "global_config"),
        change("market.state", wire.CANCELLED, 6012),
        change("market.state", wire.ACTIVE, 6011),
    ]
