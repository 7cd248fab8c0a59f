"""Casting and reporting votes."""

from dataclasses import replace

from tests.localnet_program import wire
from tests.localnet_program.attempts import (
    Slot,
    account_faults,
    base,
    change,
    copied,
    creating,
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
from tests.localnet_program.wire import flag, u32
from tests.localnet_program.world import World


def _submit_vote(world: World, name: str, state: int, wrong_state: int) -> Case:
    slots = [
        replace(MARKET, flags=""),
        Slot("vote_record", "new", "w"),
        Slot("user", "signer", "sw", world.users[0].pubkey()),
        SYSTEM,
    ]
    attempt = base(world, name, fresh(slots), flag(True))
    attempt.market.state = state
    attempt.absent = frozenset({"vote"})
    no_bool = change("arguments.0", b"\2", 102, "occurred")
    faults = account_faults(attempt)
    return attempt, [
        faults[0],
        faults[1],
        no_bool,
        *faults[2:],
        *creating("vote_record", "user"),
        copied("market"),
        change("market.state", wrong_state, 6051, "market"),
    ]


def submit_proposal_vote(world: World) -> Case:
    return _submit_vote(world, "submit_proposal_vote", wire.PROPOSED, wire.DISPUTED)


def submit_dispute_vote(world: World) -> Case:
    return _submit_vote(world, "submit_dispute_vote", wire.DISPUTED, wire.PROPOSED)


def _aggregate(world: World, name: str, state: int, wrong_state: int) -> Case:
    slots = [MARKET, CONFIG, Slot("backend_authority", "signer", "s", world.backend.pubkey())]
    attempt = base(world, name, fresh(slots), u32(6), u32(4))
    attempt.market.state = state
    return attempt, [
        *account_faults(attempt),
        *market_faults(6051, wrong_state),
        copied("global_config"),
        signed_by_stranger("backend_authority"),
        change("arguments.0", u32(2**32 - 4), 6033),
    ]


def aggregate_proposal_votes(world: World) -> Case:
    return _aggregate(world, "aggregate_proposal_votes", wire.PROPOSED, wire.APPROVED)


def aggregate_dispute_votes(world: World) -> Case:
    return _aggregate(world, "aggregate_dispute_votes", wire.DISPUTED, wire.RESOLVING)
