"""The instructions on GlobalConfig."""

from dataclasses import replace

from tests.localnet_program.attempts import (
    ELSEWHERE,
    Slot,
    account_faults,
    base,
    change,
    copied,
    creating,
    readonly,
)
from tests.localnet_program.cases.common import (
    CONFIG,
    SYSTEM,
    Case,
    fresh,
)
from tests.localnet_program.wire import i64, option, u16
from tests.localnet_program.world import World


def initialize_global_config(world: World) -> Case:
    slots = [
        Slot("admin", "signer", "sw", world.admin.pubkey()),
        Slot("global_config", "new", "w"),
        Slot("protocol_fee_wallet", "any", "", world.fee_wallet),
        SYSTEM,
    ]
    attempt = base(world, "initialize_global_config", fresh(slots), bytes(ELSEWHERE))
    attempt.absent = frozenset({"config"})
    return attempt, [*account_faults(attempt), *creating("global_config", "admin")]


def _config_slots(world: World) -> list[Slot]:
    return fresh([Slot("admin", "signer", "s", world.admin.pubkey()), replace(CONFIG, flags="w")])


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
        *account_faults(attempt),
        *CONFIG_FAULTS,
        change("arguments.0", u16(9301), 6004),
        change("arguments.3", u16(10_001), 6001),
        change("arguments.4", u16(10_001), 6001),
        change("arguments.5", option(i64(0)), 6002),
        change("arguments.6", option(i64(-1)), 6002),
    ]


def emergency_pause(world: World) -> Case:
    attempt = base(world, "emergency_pause", _config_slots(world))
    return attempt, [*account_faults(attempt), *CONFIG_FAULTS]
