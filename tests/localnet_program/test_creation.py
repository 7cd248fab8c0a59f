"""Accounts that instructions create: addresses, rent, and addresses that are not empty."""

from solders.pubkey import Pubkey

from tests.localnet_program import wire
from tests.localnet_program.world import FEE, SOL, World, key


def test_known_addresses() -> None:
    """Derived with the program's own id; the second user is 32 bytes of 2."""
    market, bump = wire.market_address(bytes([1]) * 32)
    assert (str(market), bump) == ("F1doAVqwVZdnDRp4U6R3SXpVFNZ4Rk7NZmgFQB2fbbuv", 255)
    user = Pubkey(bytes([2]) * 32)
    assert str(user) == "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR"
    known = {
        wire.config_address(): ("HJUjpSEUaZCunLAhwJu1G44nUQ4R8JCLvSJNJzWWDpNP", 255),
        wire.position_address(market, user): (
            *("8SkAwYo6jUwve2hw5hCh3hWCRwbcYZMvTHf1YtBCzvGq", 252),
        ),
        wire.vote_address(market, user, 0): ("Em59gQPx8T8fzhDLgsceNUBpeNzezjor1tB5FzVWHwfj", 254),
        wire.vote_address(market, user, 1): ("CX18ELjeCgQQT3hFLAH8LgGBigttDzRShe74HvuNeHSy", 255),
    }
    for (address, own_bump), expected in known.items():
        assert (str(address), own_bump) == expected


def test_address_with_lamports_is_topped_up_and_assigned() -> None:
    world = World()
    world.initialize()
    world.put(world.market, b"", wire.SYSTEM, 1_000_000)
    before = world.lamports(world.creator.pubkey())
    outcome = world.create()
    assert outcome.ok
    assert world.lamports(world.market) == wire.RENT[488]
    assert before - world.lamports(world.creator.pubkey()) == wire.RENT[488] - 1_000_000 + FEE
    assert len(world.data(world.market)) == 488
    calls = [line for line in outcome.logs if line.endswith("invoke [2]")]
    assert len(calls) == 3  # transfer, allocate, assign


def test_an_address_with_more_than_the_rent_keeps_it() -> None:
    world = World().reach(wire.PROPOSED)
    user = world.users[0]
    where = wire.vote_address(world.market, user.pubkey(), wire.PROPOSAL)[0]
    world.put(where, b"", wire.SYSTEM, SOL)
    before = world.lamports(user.pubkey())
    assert world.vote(user, True).ok
    assert world.lamports(where) == SOL
    assert before - world.lamports(user.pubkey()) == FEE


def test_a_position_at_an_address_with_lamports() -> None:
    world = World().reach(wire.ACTIVE)
    user = world.users[0]
    world.put(world.position(user), b"", wire.SYSTEM, 1)
    assert world.buy(user, True, SOL).ok
    assert world.lamports(world.position(user)) == wire.RENT[182]
    assert world.data(world.position(user))[72:80] == wire.u64(1835823062)


def test_one_vote_per_wallet_kind_and_market() -> None:
    world = World().reach(wire.PROPOSED)
    user, other = world.users[:2]
    assert world.vote(user, True).ok
    assert world.vote(user, True).code == 0
    assert world.vote(other, False).ok
    first = world.market_id
    world.market_id = bytes([9]) * 32
    assert world.create().ok
    assert world.vote(user, True).ok
    world.market_id = first
    world.advance(lambda: world.aggregate(1, 0), world.approve, world.activate)
    world.advance(world.resolve)
    world.advance(lambda: world.dispute(user))
    assert world.vote(user, True, wire.DISPUTE).ok
    assert world.vote(user, False, wire.DISPUTE).code == 0
    world.advance(lambda: world.aggregate(1, 0, wire.DISPUTE))
    world.advance(lambda: world.dispute(user))
    assert world.vote(user, False, wire.DISPUTE).code == 0  # a second round has the same records


def test_a_payer_without_money() -> None:
    world = World().reach(wire.PROPOSED)
    poor = key(77)
    world.svm.airdrop(poor.pubkey(), FEE + 1_468_559)
    outcome = world.vote(poor, True)
    assert outcome.code == 1
    assert world.lamports(poor.pubkey()) == 1_468_559


def test_the_addresses_depend_on_the_program_id() -> None:
    world = World()
    elsewhere = key(78).pubkey()
    world.svm.add_program(elsewhere, world.program)
    config, _ = wire.address(b"global-config", program=elsewhere)
    metas = [
        wire.account(world.admin.pubkey(), "sw"),
        wire.account(config, "w"),
        wire.account(world.fee_wallet),
        wire.account(wire.SYSTEM),
    ]
    ix = wire.instruction("initialize_global_config", metas, bytes(world.backend.pubkey()))
    assert world.send(type(ix)(elsewhere, ix.data, metas), world.admin).ok
    account = world.svm.get_account(config)
    assert account is not None
    assert account.owner == elsewhere
