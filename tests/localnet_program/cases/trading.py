"""Buying and selling."""

from tests.localnet_program import wire
from tests.localnet_program.attempts import (
    ELSEWHERE,
    FOREIGN_PROGRAM,
    Fault,
    Slot,
    account_faults,
    base,
    change,
    copied,
    creating,
    fault,
    other_account,
    readonly,
)
from tests.localnet_program.cases.common import CONFIG, MARKET, SYSTEM, Case, fresh, market_faults
from tests.localnet_program.wire import flag, u64
from tests.localnet_program.world import SOL, World


def _trade_slots(world: World, position_kind: str) -> list[Slot]:
    return fresh(
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
        *account_faults(attempt),
        *creating("position", "user"),
        copied("global_config"),
        *market_faults(6007, wire.RESOLVING),
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
        *account_faults(attempt),
        other_account("position", 2006),
        position("foreign position", "position_owner", FOREIGN_PROGRAM, 3007),
        position("short position", "position_data", packed[:6], 3001),
        position("no position", "position_data", attempt.market.pack(), 3002),
        position("position cut off", "position_data", packed[:-1], 3003),
        position("position with a tail", "position_data", packed + b"\0", 2019),
        position("poor position", "position_lamports", 2_157_599, 2005),
        readonly("position"),
        copied("global_config"),
        *market_faults(6007, wire.APPROVED),
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
        *account_faults(attempt),
        copied("global_config"),
        *market_faults(6007, wire.FINALIZED),
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
