"""The instructions, each with its faults in the order of the program's checks."""

from dataclasses import replace

from tests.localnet_program import wire
from tests.localnet_program.attempts import Attempt, Fault, Slot, change, copied, readonly

TEN_YEARS = 315_360_000
Case = tuple[Attempt, list[Fault]]

SYSTEM = Slot("system_program", "system", key=wire.SYSTEM)
CONFIG = Slot("global_config", "typed")
MARKET = Slot("market", "typed", "w")


def fresh(slots: list[Slot]) -> list[Slot]:
    return [replace(slot) for slot in slots]


def market_faults(code: int, wrong_state: int) -> list[Fault]:
    return [
        copied("market"),
        readonly("market"),
        change("market.state", wrong_state, code, "market"),
    ]
