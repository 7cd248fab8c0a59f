"""Whole log lines, as the program writes them for known numbers and made-up wallets."""

from dataclasses import replace

from solders.instruction import Instruction
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata

from tests.localnet_program import wire
from tests.localnet_program.cases import payout, resolution, trading
from tests.localnet_program.wire import account, instruction, option, u32
from tests.localnet_program.world import SOL, START, World

USER = Pubkey(bytes([2]) * 32)  # without a known key, so signatures are not checked here


def lines(world: World, ix: Instruction) -> list[str]:
    transaction = Transaction.new_unsigned(Message([ix], USER))
    result = world.svm.send_transaction(transaction)
    assert isinstance(result, TransactionMetadata), result
    return result.logs()


def unsigned_world() -> World:
    world = World()
    world.svm = LiteSVM().with_sigverify(False).with_blockhash_check(False)
    world.svm.add_program(wire.PROGRAM, world.program)
    world.put(USER, b"", wire.SYSTEM, 100 * SOL)
    world.put(world.fee_wallet, b"", wire.SYSTEM, SOL)
    world.put(world.resolver.pubkey(), b"", wire.SYSTEM, SOL)
    world.set_time(START)
    return world


def test_shares_bought() -> None:
    world = unsigned_world()
    attempt, _ = trading.buy_shares(World())
    world.put(world.config, attempt.config.pack())
    market = replace(
        attempt.market, shares_yes=100_000_000, shares_no=100_000_000, state=wire.ACTIVE
    )
    world.put(world.market, market.pack())
    metas = [
        account(world.config),
        account(world.market, "w"),
        account(wire.position_address(world.market, USER)[0], "w"),
        account(USER, "sw"),
        account(world.fee_wallet, "w"),
        account(wire.SYSTEM),
    ]
    data = bytes.fromhex("28ef8a9a08256a6c0100ca9a3b00000000")
    assert (
        "Program data: 8GJFCv3q4kEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQICAgICAgICAgICAg"
        "ICAgICAgICAgICAgICAgICAgICAdZvbG0AAAAAPLKZOwAAAAB0bBMeAAAAAPK1EWkAAAAA"
    ) in lines(world, Instruction(wire.PROGRAM, data, metas))


def test_market_finalized() -> None:
    world = unsigned_world()
    attempt, _ = resolution.finalize_disputed_market(World())
    world.put(world.config, replace(attempt.config, backend_authority=USER).pack())
    market = replace(attempt.market, created_at=START - 10, resolution_proposed_at=START - 1)
    world.put(world.market, market.pack())
    metas = [account(world.config), account(world.market, "w"), account(USER, "s")]
    ix = instruction("finalize_market", metas, option(u32(6)), option(u32(4)))
    assert (
        "Program data: Uz5CzCVM6rMBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEAAfK1EWkAAAAA"
    ) in lines(world, ix)


def test_winnings_claimed() -> None:
    world = unsigned_world()
    attempt, _ = payout.claim_refund(World())
    world.put(world.config, attempt.config.pack())
    world.put(world.market, attempt.market.pack())
    where, bump = wire.position_address(world.market, USER)
    position = replace(attempt.position, user=USER, bump=bump, total_invested=123_456_789)
    world.put(where, position.pack())
    metas = [
        account(world.config),
        account(world.market, "w"),
        account(where, "w"),
        account(USER, "sw"),
        account(world.resolver.pubkey(), "w"),
        account(wire.SYSTEM),
    ]
    assert (
        "Program data: u7gdxDZ1RpbQLTjlwnzn/7hKvJvHTPVvXVPG6wbOvnC+J1g+UGseFQICAgICAgICAgICAg"
        "ICAgICAgICAgICAgICAgICAgICABXNWwcAAAAA8rURaQAAAAA="
    ) in lines(world, instruction("claim_winnings", metas))
