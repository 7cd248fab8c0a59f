"""What the program makes of the raw instruction: data, account lists, log frames."""

import re
from collections.abc import Callable
from hashlib import sha256

import pytest
from solders.pubkey import Pubkey

from tests.localnet_program import wire
from tests.localnet_program.attempts import Slot
from tests.localnet_program.cases import CASES, proposal, trading, votes
from tests.localnet_program.cases.common import Case
from tests.localnet_program.wire import INSTRUCTION, account, instruction, u32
from tests.localnet_program.world import SOL, World, key

Maker = Callable[[World], Case]
NAMES = {"buy_shares_again": "buy_shares", "claim_refund": "claim_winnings"}


@pytest.mark.parametrize("data", [b"", b"\x28", bytes(7), b"\xff" * 8, b"\xff" * 300])
def test_unknown_data(data: bytes) -> None:
    world = World()
    ix = instruction("emergency_pause", [])
    outcome = world.send(type(ix)(wire.PROGRAM, data, []), world.admin)
    assert outcome.code == 101
    assert outcome.error_line == (
        "Program log: AnchorError occurred. Error Code: InstructionFallbackNotFound. "
        "Error Number: 101. Error Message: Fallback functions are not supported."
    )


def test_sample_encodings() -> None:
    """The data of known calls, written out."""
    samples = {
        "buy_shares": "28ef8a9a08256a6c 01 00ca9a3b00000000",
        "finalize_market": "10e1261cd5d901f7 01 06000000 01 04000000",
        "aggregate_proposal_votes": "1a9c1215b9b0ca48 07000000 03000000",
        "update_global_config": (
            "a45482bd6f3afac8 2c01 c800 f401 581b 7017 00 01 7800000000000000"
        ),
    }
    for name, text in samples.items():
        assert bytes.fromhex(text)[:8] == bytes.fromhex(INSTRUCTION[name])
    world = World().reach(wire.PROPOSED)
    metas = [
        account(world.market, "w"),
        account(world.config),
        account(world.backend.pubkey(), "s"),
    ]
    ix = instruction("aggregate_proposal_votes", metas)
    data = bytes.fromhex(samples["aggregate_proposal_votes"])
    assert world.send(type(ix)(wire.PROGRAM, data, metas), world.backend).ok
    assert world.data(world.market)[313:325] == u32(7, 3, 10)
    metas = [account(world.admin.pubkey(), "s"), account(world.config, "w")]
    data = bytes.fromhex(samples["update_global_config"])
    assert world.send(type(ix)(wire.PROGRAM, data, metas), world.admin).ok
    assert world.data(world.config)[122:130] == wire.i64(120)


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_more_data_and_more_accounts_than_needed_are_ignored(make: Maker) -> None:
    world = World()
    attempt, _ = make(world)
    expected = attempt.send().code
    attempt, _ = make(world)
    attempt.arguments.append(b"\xff" * 100)
    attempt.slots += [Slot(f"extra {i}", "any", "w", key(230 + i % 3).pubkey()) for i in range(10)]
    assert attempt.send().code == expected


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_the_log_of_a_call(make: Maker) -> None:
    attempt, _ = make(World())
    outcome = attempt.send()
    name = NAMES.get(make.__name__, make.__name__).replace("disputed_", "")
    camel = "".join(part.capitalize() for part in name.split("_"))
    program = f"Program {wire.PROGRAM}"
    assert outcome.logs[0] == f"{program} invoke [1]"
    assert outcome.logs[1] == f"Program log: Instruction: {camel}"
    assert re.fullmatch(rf"{program} consumed \d+ of 200000 compute units", outcome.logs[-2])
    assert outcome.logs[-1] == (
        f"{program} success"
        if outcome.ok
        else f"{program} failed: Cross-program invocation "
        "with unauthorized signer or writable account"
    )
    assert len(outcome.events) == (1 if outcome.ok else 0)


def test_a_state_change_is_logged_before_its_event() -> None:
    world = World().reach(wire.ACTIVE)
    world.wait(1)
    logs = world.resolve().logs
    assert logs[1] == "Program log: Instruction: ResolveMarket"
    assert logs[2] == "Program log: State transition: Active -> Resolving"
    assert logs[3].startswith("Program data: ")


def test_a_wrong_address_is_logged_with_both() -> None:
    world = World()
    attempt, _ = proposal.create_market(world)
    wrong = key(79).pubkey()
    attempt.slot("market").key = wrong
    logs = attempt.send().logs
    at = logs.index("Program log: Left:")
    assert logs[at - 1] == (
        "Program log: AnchorError caused by account: market. Error Code: ConstraintSeeds. "
        "Error Number: 2006. Error Message: A seeds constraint was violated."
    )
    assert logs[at + 1 : at + 4] == [
        f"Program log: {wrong}",
        "Program log: Right:",
        f"Program log: {world.market}",
    ]


def test_one_account_in_two_places() -> None:
    """The fee wallet, here the buyer itself, and then the creator who is the admin."""
    world = World()
    attempt, _ = trading.buy_shares(world)
    buyer = world.users[0].pubkey()
    attempt.config.protocol_fee_wallet = buyer
    attempt.slot("protocol_fee_wallet").key = buyer
    assert attempt.send().ok
    spent = 100 * SOL - world.lamports(buyer)
    position = world.data(world.position(world.users[0]))
    total = int.from_bytes(position[88:96], "little")
    protocol = (total - total // 11) * 3 // 100
    assert abs(spent - (total - protocol + wire.RENT[182])) <= 1


def test_a_market_as_fee_wallet_is_one_account() -> None:
    world = World()
    attempt, _ = trading.buy_shares(world)
    attempt.config.protocol_fee_wallet = world.market
    attempt.slot("protocol_fee_wallet").key = world.market
    before = attempt.market_lamports
    assert attempt.send().ok
    position = world.data(world.position(world.users[0]))
    total = int.from_bytes(position[88:96], "little")
    assert world.lamports(world.market) - before == total


def test_a_config_that_is_not_the_canonical_one() -> None:
    """An address with another bump passes the seeds check and fails in the reports."""
    bumps = range(wire.config_address()[1] - 1, 0, -1)
    where, bump = next((address, bump) for bump in bumps if (address := at_bump(bump)) is not None)
    world = World()
    attempt, _ = votes.aggregate_proposal_votes(world)
    attempt.config.bump = bump
    attempt.extra.append((where, attempt.config.pack(), wire.PROGRAM))
    attempt.slot("global_config").key = where
    assert attempt.send().code == 6005


def at_bump(bump: int) -> Pubkey | None:
    seeds = b"global-config" + bytes([bump]) + bytes(wire.PROGRAM)
    address = Pubkey(sha256(seeds + b"ProgramDerivedAddress").digest())
    return None if address.is_on_curve() else address
