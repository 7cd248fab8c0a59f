"""The instructions, each with its faults in the order of the program's checks."""

from collections.abc import Callable
from dataclasses import replace

from tests.localnet_program import wire
from tests.localnet_program.attempts import (
    ELSEWHERE,
    FOREIGN_PROGRAM,
    Attempt,
    Fault,
    Slot,
    base,
    change,
    copied,
    creating,
    fault,
    other_account,
    readonly,
    signed_by_stranger,
    taking,
)
from tests.localnet_program.wire import flag, i64, option, u16, u32, u64
from tests.localnet_program.world import EVIDENCE, QUESTION, SOL, START, World

TEN_YEARS = 315_360_000
Case = tuple[Attempt, list[Fault]]

SYSTEM = Slot("system_program", "system", key=wire.SYSTEM)
CONFIG = Slot("global_config", "typed")
MARKET = Slot("market", "typed", "w")


def _fresh(slots: list[Slot]) -> list[Slot]:
    return [replace(slot) for slot in slots]


def _market_faults(code: int, wrong_state: int) -> list[Fault]:
    return [
        copied("market"),
        readonly("market"),
        change("market.state", wrong_state, code, "market"),
    ]


def initialize_global_config(world: World) -> Case:
    slots = [
        Slot("admin", "signer", "sw", world.admin.pubkey()),
        Slot("global_config", "new", "w"),
        Slot("protocol_fee_wallet", "any", "", world.fee_wallet),
        SYSTEM,
    ]
    attempt = base(world, "initialize_global_config", _fresh(slots), bytes(ELSEWHERE))
    attempt.absent = frozenset({"config"})
    return attempt, [*taking(attempt), *creating("global_config", "admin")]


def create_market(world: World) -> Case:
    slots = [
        Slot("creator", "signer", "sw", world.creator.pubkey()),
        Slot("market", "new", "w"),
        CONFIG,
        SYSTEM,
    ]
    arguments = [world.market_id, u64(100 * SOL), u64(SOL), QUESTION]
    attempt = base(world, "create_market", _fresh(slots), *arguments)
    attempt.absent = frozenset({"market"})
    return attempt, [
        *taking(attempt),
        *creating("market", "creator"),
        copied("global_config"),
        change("config.is_paused", True, 6010),
        change("arguments.1", u64(0), 6042),
        change("arguments.2", u64(0), 6017),
    ]


def _submit_vote(world: World, name: str, state: int, wrong_state: int) -> Case:
    slots = [
        replace(MARKET, flags=""),
        Slot("vote_record", "new", "w"),
        Slot("user", "signer", "sw", world.users[0].pubkey()),
        SYSTEM,
    ]
    attempt = base(world, name, _fresh(slots), flag(True))
    attempt.market.state = state
    attempt.absent = frozenset({"vote"})
    no_bool = change("arguments.0", b"\2", 102, "occurred")
    taken = taking(attempt)
    return attempt, [
        taken[0],
        taken[1],
        no_bool,
        *taken[2:],
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
    attempt = base(world, name, _fresh(slots), u32(6), u32(4))
    attempt.market.state = state
    return attempt, [
        *taking(attempt),
        *_market_faults(6051, wrong_state),
        copied("global_config"),
        signed_by_stranger("backend_authority"),
        change("arguments.0", u32(2**32 - 4), 6033),
    ]


def aggregate_proposal_votes(world: World) -> Case:
    return _aggregate(world, "aggregate_proposal_votes", wire.PROPOSED, wire.APPROVED)


def aggregate_dispute_votes(world: World) -> Case:
    return _aggregate(world, "aggregate_dispute_votes", wire.DISPUTED, wire.RESOLVING)


def approve_proposal(world: World) -> Case:
    slots = [Slot("admin", "signer", "sw", world.admin.pubkey()), MARKET, CONFIG]
    attempt = base(world, "approve_proposal", _fresh(slots))
    attempt.market = replace(attempt.market, state=wire.PROPOSED, proposal_votes=(7, 3))
    return attempt, [
        *taking(attempt),
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
    attempt = base(world, "activate_market", _fresh(slots))
    attempt.market.state = wire.APPROVED
    return attempt, [
        *taking(attempt),
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
    attempt = base(world, "cancel_market", _fresh(slots))
    attempt.market.state = wire.APPROVED
    return attempt, [
        *taking(attempt),
        copied("market"),
        readonly("market"),
        copied("global_config"),
        change("config.admin", ELSEWHERE, 6029, "global_config"),
        change("market.state", wire.CANCELLED, 6012),
        change("market.state", wire.ACTIVE, 6011),
    ]


def _trade_slots(world: World, position_kind: str) -> list[Slot]:
    return _fresh(
        [
            CONFIG,
            MARKET,
            Slot("position", position_kind, "w"),
            Slot("user", "signer", "sw", world.users[0].pubkey()),
            Slot("protocol_fee_wallet", "any", "w", world.fee_wallet),
            SYSTEM,
        ]
    )


def _buy_checks(side: str) -> list[Fault]:
    return [
        change("config.is_paused", True, 6010),
        change("arguments.1", u64(9_999), 6018),
        change("arguments.1", u64(2**64 // 10_000 + 1), 6033),
        change("market.b_parameter", 99 * SOL, 6042),
        change(f"market.shares_{side}", 1500 * SOL, 6039),
        change("config.protocol_fee_bps", 900, 6015),
    ]


def buy_shares(world: World) -> Case:
    attempt = base(world, "buy_shares", _trade_slots(world, "new"), flag(True), u64(1_000_000_000))
    attempt.absent = frozenset({"position"})
    return attempt, [
        *taking(attempt),
        *creating("position", "user"),
        copied("global_config"),
        *_market_faults(6007, wire.RESOLVING),
        readonly("protocol_fee_wallet"),
        other_account("protocol_fee_wallet", 6029),
        *_buy_checks("yes"),
        change("user_lamports", 100_000_000, 1, ""),
    ]


def buy_shares_again(world: World) -> Case:
    """With a position that is there; it is checked where a new one would be created."""
    attempt = base(world, "buy_shares", _trade_slots(world, "new"), flag(False), u64(1_000_000_000))

    def position(name: str, field: str, value: object, code: int) -> Fault:
        return fault(name, code, "position", "position", lambda a: setattr(a, field, value))

    packed = attempt.position.pack()
    return attempt, [
        *taking(attempt),
        other_account("position", 2006),
        position("foreign position", "position_owner", FOREIGN_PROGRAM, 3007),
        position("short position", "position_data", packed[:6], 3001),
        position("no position", "position_data", attempt.market.pack(), 3002),
        position("position cut off", "position_data", packed[:-1], 3003),
        position("position with a tail", "position_data", packed + b"\0", 2019),
        position("poor position", "position_lamports", 2_157_599, 2005),
        readonly("position"),
        copied("global_config"),
        *_market_faults(6007, wire.APPROVED),
        readonly("user"),
        readonly("protocol_fee_wallet"),
        other_account("protocol_fee_wallet", 6029),
        *_buy_checks("no"),
        change("user_lamports", 100_000_000, 1, ""),
    ]


def sell_shares(world: World) -> Case:
    arguments = [flag(True), u64(SOL), u64(1)]
    attempt = base(world, "sell_shares", _trade_slots(world, "typed"), *arguments)
    return attempt, [
        *taking(attempt),
        copied("global_config"),
        *_market_faults(6007, wire.FINALIZED),
        copied("position"),
        readonly("position"),
        change("position.user", ELSEWHERE, 6029, "position"),
        readonly("user"),
        readonly("protocol_fee_wallet"),
        other_account("protocol_fee_wallet", 6029),
        change("config.is_paused", True, 6010),
        change("market.is_locked", True, 6048),
        change("arguments.1", u64(2 * SOL + 1), 6014),
        change("market.b_parameter", 99 * SOL, 6042),
        change("arguments.1", u64(10_000), 6018),
        change("arguments.2", u64(SOL), 6015),
        change("market.current_liquidity", 100_000_000, 6016),
    ]


def resolve_market(world: World) -> Case:
    slots = [CONFIG, MARKET, Slot("resolver", "signer", "sw", world.resolver.pubkey())]
    attempt = base(world, "resolve_market", _fresh(slots), flag(True), EVIDENCE)
    return attempt, [
        *taking(attempt),
        copied("global_config"),
        *_market_faults(6007, wire.RESOLVING),
        readonly("resolver"),
        change("market.proposed_outcome", True, 6026),
        change("now", START - 1, 6044),
        change("now", START + TEN_YEARS + 1, 6044),
        change("market.activated_at", START + 1000, 6044),
    ]


def initiate_dispute(world: World) -> Case:
    slots = [CONFIG, MARKET, Slot("initiator", "signer", "s", world.users[0].pubkey())]
    attempt = base(world, "initiate_dispute", _fresh(slots))
    attempt.market = replace(
        attempt.market,
        state=wire.RESOLVING,
        proposed_outcome=True,
        resolution_proposed_at=START + 999,
    )
    return attempt, [
        *taking(attempt),
        copied("global_config"),
        *_market_faults(6007, wire.DISPUTED),
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
    attempt = base(world, "finalize_market", _fresh(slots), *arguments)
    attempt.market = replace(
        attempt.market,
        state=state,
        proposed_outcome=True,
        resolution_proposed_at=START + 500,
    )
    return attempt


def _finalize_constraints(attempt: Attempt) -> list[Fault]:
    return [
        *taking(attempt),
        copied("global_config"),
        *_market_faults(6007, wire.ACTIVE),
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


def _claim(world: World) -> Case:
    slots = [
        CONFIG,
        MARKET,
        Slot("position", "typed", "w"),
        Slot("user", "signer", "sw", world.users[0].pubkey()),
        Slot("resolver", "any", "w", world.resolver.pubkey()),
        SYSTEM,
    ]
    attempt = base(world, "claim_winnings", _fresh(slots))
    attempt.market = replace(
        attempt.market, state=wire.FINALIZED, proposed_outcome=True, accumulated_resolver_fees=SOL
    )
    return attempt, [
        *taking(attempt),
        copied("global_config"),
        *_market_faults(6007, wire.DISPUTED),
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
    attempt = base(world, "withdraw_liquidity", _fresh(slots))
    attempt.market.state = wire.FINALIZED
    return attempt, [
        *taking(attempt),
        copied("market"),
        readonly("market"),
        signed_by_stranger("creator", culprit="market"),
        change("market.state", wire.RESOLVING, 6007, "market"),
        readonly("creator"),
        change("market_lamports", 4_287_360 + 10_000, 6016),
    ]


def _config_slots(world: World) -> list[Slot]:
    return _fresh([Slot("admin", "signer", "s", world.admin.pubkey()), replace(CONFIG, flags="w")])


CONFIG_FAULTS = [
    copied("global_config"),
    readonly("global_config"),
    change("config.admin", ELSEWHERE, 6029, "global_config"),
]


def update_global_config(world: World) -> Case:
    numbers = [u16(300), u16(200), u16(500), u16(7000), u16(6000)]
    attempt = base(
        world, "update_global_config", _config_slots(world), *numbers, option(i64(1)), option(None)
    )
    return attempt, [
        *taking(attempt),
        *CONFIG_FAULTS,
        change("arguments.0", u16(9301), 6004),
        change("arguments.3", u16(10_001), 6001),
        change("arguments.4", u16(10_001), 6001),
        change("arguments.5", option(i64(0)), 6002),
        change("arguments.6", option(i64(-1)), 6002),
    ]


def emergency_pause(world: World) -> Case:
    attempt = base(world, "emergency_pause", _config_slots(world))
    return attempt, [*taking(attempt), *CONFIG_FAULTS]


CASES: list[Callable[[World], Case]] = [
    initialize_global_config,
    create_market,
    submit_proposal_vote,
    submit_dispute_vote,
    aggregate_proposal_votes,
    aggregate_dispute_votes,
    approve_proposal,
    activate_market,
    cancel_market,
    buy_shares,
    buy_shares_again,
    sell_shares,
    resolve_market,
    initiate_dispute,
    finalize_market,
    finalize_disputed_market,
    claim_winnings,
    claim_refund,
    withdraw_liquidity,
    update_global_config,
    emergency_pause,
]
