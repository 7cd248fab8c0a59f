"""Claims, refunds and withdrawals, with the money of whole markets."""

import struct
from dataclasses import replace

import pytest

from tests.localnet_program import wire
from tests.localnet_program.wire import event, flag, i64, option, u64
from tests.localnet_program.world import FEE, SOL, World

MID = bytes([1]) * 32
RENT = wire.RENT[488]


def two_buyers(outcome: bool | None, liquidity: int = SOL // 10) -> World:
    """A: 1 SOL on YES, B: half a SOL on NO; then finalized."""
    world = World().reach(wire.ACTIVE, liquidity=liquidity)
    world.advance(
        lambda: world.buy(world.users[0], True, SOL),
        lambda: world.buy(world.users[1], False, SOL // 2),
    )
    return finalized(world, outcome)


def three_buyers(outcome: bool | None, liquidity: int) -> World:
    """As before, and C: 2 SOL on YES."""
    world = World().reach(wire.ACTIVE, liquidity=liquidity)
    world.advance(
        lambda: world.buy(world.users[0], True, SOL),
        lambda: world.buy(world.users[1], False, SOL // 2),
        lambda: world.buy(world.users[2], True, 2 * SOL),
    )
    return finalized(world, outcome)


def finalized(world: World, outcome: bool | None) -> World:
    """None: through the report of a failed dispute."""
    world.advance(lambda: world.resolve(outcome is not False))
    if outcome is None:
        world.advance(lambda: world.dispute(world.users[0]))
        world.advance(lambda: world.aggregate(0, 0, wire.DISPUTE))
    else:
        world.advance(world.finalize, seconds=259_200)
    return world


def claimed(world: World, number: int) -> object:
    """What a claim pays, or the error that it ends in."""
    user = world.users[number]
    before = world.lamports(user.pubkey())
    outcome = world.claim(user)
    if not outcome.ok:
        return outcome.code
    paid = world.lamports(user.pubkey()) - before + FEE
    (emitted,) = outcome.events
    assert emitted[-16:-8] == u64(paid)
    return paid


def liquidity_and_fees(world: World) -> tuple[int, int, int]:
    data = world.data(world.market)
    (liquidity,) = struct.unpack_from("<Q", data, 89)
    resolver, lp = struct.unpack_from("<QQ", data, 299)
    return liquidity, resolver, lp


def test_a_whole_market() -> None:
    world = two_buyers(True)
    assert world.lamports(world.market) == 1463252904
    assert liquidity_and_fees(world) == (195446344, 27270384, 68175960)

    winner = world.users[0]
    resolver, own = world.lamports(world.resolver.pubkey()), world.lamports(winner.pubkey())
    position = world.data(world.position(winner))
    outcome = world.claim(winner)
    fields = [bytes(world.market), bytes(winner.pubkey()), option(flag(True)), u64(185350052)]
    assert outcome.events == [event("WinningsClaimed", *fields, i64(world.now))]
    assert world.lamports(winner.pubkey()) - own == 185350052 - FEE
    assert world.lamports(world.resolver.pubkey()) - resolver == 27270384
    assert world.lamports(world.market) == 1250632468
    assert liquidity_and_fees(world) == (195446344, 0, 68175960)
    paid = position[:108] + flag(True) + u64(185350052) + position[117:]
    assert world.data(world.position(winner)) == paid

    assert world.claim(winner).code == 6022
    assert world.claim(world.users[1]).code == 6023

    creator = world.lamports(world.creator.pubkey())
    outcome = world.withdraw()
    fields = [MID, bytes(world.creator.pubkey()), u64(1246335108), i64(world.now)]
    assert outcome.events == [event("LiquidityWithdrawn", *fields)]
    assert world.lamports(world.creator.pubkey()) - creator == 1246335108 - FEE
    assert world.lamports(world.market) == RENT + 10_000
    assert liquidity_and_fees(world) == (0, 0, 0)


@pytest.mark.parametrize(
    ("liquidity", "first", "third"),
    [
        (1, 74081784, 144584553),
        (SOL // 10, 107346816, 209507525),
        (SOL, 406732099, 793814283),
        (10 * SOL, 6016, 6016),
    ],
)
def test_claims_when_yes_wins(liquidity: int, first: int, third: int) -> None:
    world = three_buyers(True, liquidity)
    assert world.lamports(world.market) == 3408441642
    assert liquidity_and_fees(world)[1] == 63629052
    assert (claimed(world, 0), claimed(world, 2)) == (first, third)


@pytest.mark.parametrize(
    ("liquidity", "second"),
    [(1, 200792598), (SOL // 10, 290954735), (SOL, 1102413977), (10 * SOL, 6016)],
)
def test_claims_when_no_wins(liquidity: int, second: int) -> None:
    world = three_buyers(False, liquidity)
    assert claimed(world, 0) == 6023
    assert claimed(world, 1) == second


@pytest.mark.parametrize("liquidity", [1, SOL // 10, SOL, 10 * SOL])
def test_refunds_of_a_market_without_outcome(liquidity: int) -> None:
    world = three_buyers(None, liquidity)
    resolver = world.lamports(world.resolver.pubkey())
    assert claimed(world, 0) == 999928380
    assert claimed(world, 1) == 499942740
    assert claimed(world, 2) == 6016
    assert world.lamports(world.resolver.pubkey()) == resolver


def test_a_refund_event_has_no_outcome() -> None:
    world = two_buyers(None)
    outcome = world.claim(world.users[0])
    user = bytes(world.users[0].pubkey())
    fields = [bytes(world.market), user, option(None), u64(999928380), i64(world.now)]
    assert outcome.events == [event("WinningsClaimed", *fields)]
    assert len(outcome.events[0]) == 89


def test_creator_who_withdraws_first_leaves_nothing_for_claims() -> None:
    world = two_buyers(True)
    assert world.withdraw().ok
    assert liquidity_and_fees(world) == (0, 27270384, 0)
    assert world.claim(world.users[0]).code == 6023
    assert world.withdraw().code == 6016
    refunds = two_buyers(None)
    assert refunds.withdraw().ok
    assert refunds.claim(refunds.users[0]).code == 6016


def test_a_withdrawal_can_be_repeated() -> None:
    world = two_buyers(True)
    assert world.withdraw().ok
    data = world.data(world.market)
    world.put(world.market, data, lamports=RENT + 10_000 + 1)
    assert world.withdraw().ok
    assert world.lamports(world.market) == RENT + 10_000


def test_a_stranger_may_not_withdraw_in_any_state() -> None:
    world = World().reach(wire.ACTIVE)
    assert world.withdraw(world.users[0]).code == 6029
    assert world.withdraw().code == 6007


def test_resolver_must_be_given_even_when_no_reward_is_due() -> None:
    world = two_buyers(None)
    assert world.claim(world.users[0], resolver=world.users[3].pubkey()).code == 6031


@pytest.mark.parametrize(
    ("lamports", "code"),
    [
        (185350052 + 27270384 - 1, 6016),
        (185350052 + 27270384, 6047),
        (185350052 + 27270384 + RENT - 1, 6047),
        (185350052 + 27270384 + RENT, None),
    ],
)
def test_solvency_of_a_claim(lamports: int, code: int | None) -> None:
    world = two_buyers(True)
    data = world.data(world.market)
    world.put(world.market, data, lamports=lamports)
    winner = world.users[0]
    before = world.lamports(winner.pubkey())
    assert world.claim(winner).code == code
    if code is None:
        assert world.lamports(world.market) == RENT
    else:
        assert world.lamports(winner.pubkey()) == before - FEE
        assert world.data(world.market) == data


def test_shares_are_a_share_of_all_shares() -> None:
    """Even a single winner does not get everything, because no one owns the opening shares."""
    world = World().reach(wire.ACTIVE)
    world.advance(lambda: world.buy(world.users[0], True, SOL))
    finalized(world, True)
    liquidity = liquidity_and_fees(world)[0]
    assert claimed(world, 0) == 1835823062 * liquidity // 1935823062


def test_a_winner_who_is_the_resolver_gets_both() -> None:
    world = World().reach(wire.ACTIVE)
    world.resolver = world.users[0]
    world.advance(lambda: world.buy(world.users[0], True, SOL))
    finalized(world, True)
    liquidity, reward, _ = liquidity_and_fees(world)
    before = world.lamports(world.users[0].pubkey())
    assert world.claim(world.users[0]).ok
    gained = world.lamports(world.users[0].pubkey()) - before + FEE
    assert gained == 1835823062 * liquidity // 1935823062 + reward


def test_bounded_loss_edge() -> None:
    """A market may lose b ln 2 and not a lamport more."""
    for lost, code in ((69_314_718_000, None), (69_314_718_001, 6041)):
        world = World().reach(wire.RESOLVING)
        market = wire.Market(
            market_id=MID,
            creator=world.creator.pubkey(),
            b_parameter=100 * SOL,
            initial_liquidity=100 * SOL,
            current_liquidity=100 * SOL,
            ipfs_evidence_hash=bytes(46),
            bump=wire.market_address(MID)[1],
            state=wire.RESOLVING,
            proposed_outcome=True,
        )
        shrunk = replace(market, current_liquidity=100 * SOL - lost, created_at=world.now)
        world.put(world.market, shrunk.pack(), lamports=RENT)
        assert world.finalize().code == code
