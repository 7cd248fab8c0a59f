"""Buying and selling through the program."""

import struct
from dataclasses import replace

import pytest

from localnet.program.build import build
from tests.localnet_program import wire
from tests.localnet_program.attempts import ESCALATION
from tests.localnet_program.wire import event, flag, i64, u64
from tests.localnet_program.world import FEE, SOL, B, World

MID = bytes([1]) * 32


@pytest.fixture
def world() -> World:
    return World().reach(wire.ACTIVE)


@pytest.fixture(scope="module")
def selling_program() -> bytes:
    return build(sell_works=True)


def numbers(world: World) -> tuple[int, ...]:
    """current_liquidity, shares_yes, shares_no and total_volume of the market."""
    return struct.unpack_from("<4Q", world.data(world.market), 89)


def put_pool(world: World, b: int, yes: int, no: int, liquidity: int = SOL // 10) -> wire.Market:
    market = wire.Market(
        market_id=MID,
        creator=world.creator.pubkey(),
        b_parameter=b,
        initial_liquidity=liquidity,
        current_liquidity=liquidity,
        ipfs_evidence_hash=bytes(46),
        bump=wire.market_address(MID)[1],
        state=wire.ACTIVE,
        shares_yes=yes,
        shares_no=no,
    )
    world.put(world.market, market.pack(), lamports=wire.RENT[488])
    return market


def test_first_buy(world: World) -> None:
    world.wait(7)
    user = world.users[1]
    own, fees = world.lamports(user.pubkey()), world.lamports(world.fee_wallet)
    market = world.data(world.market)
    outcome = world.buy(user, True, SOL)
    fields = [MID, bytes(user.pubkey()), flag(True), u64(1835823062, 999928380, 504589428)]
    assert outcome.events == [event("SharesBought", *fields, i64(world.now))]

    position, bump = wire.position_address(world.market, user.pubkey())
    expected = wire.Position(
        world.market,
        user.pubkey(),
        bump,
        shares_yes=1835823062,
        total_invested=999928380,
        trades_count=1,
        last_trade_at=world.now,
    )
    assert world.data(position) == expected.pack()
    assert len(world.data(position)) == 182
    assert world.lamports(position) == 2_157_600

    after = bytearray(market)
    after[89:97] = u64(100_000_000 + 18180516 + 45451290)
    after[97:105] = u64(100_000_000 + 1835823062)
    after[113:121] = u64(999928380)
    after[297:313] = u64(18180516, 45451290)
    assert world.data(world.market) == bytes(after)
    assert world.lamports(world.market) == 4_287_360 + 999928380 - 27270774
    assert world.lamports(world.fee_wallet) - fees == 27270774
    assert own - world.lamports(user.pubkey()) == 999928380 + 2_157_600 + FEE


def test_later_buys_add_up(world: World) -> None:
    user = world.users[1]
    assert world.buy(user, True, SOL).ok
    world.wait(5)
    own = world.lamports(user.pubkey())
    outcome = world.buy(user, False, SOL // 2)
    fields = [MID, bytes(user.pubkey()), flag(False), u64(916481020, 499942740, 502298338)]
    assert outcome.events == [event("SharesBought", *fields, i64(world.now))]
    assert own - world.lamports(user.pubkey()) == 499942740 + FEE
    assert numbers(world) == (195446344, 1935823062, 1016481020, 999928380 + 499942740)
    position, bump = wire.position_address(world.market, user.pubkey())
    expected = wire.Position(
        world.market,
        user.pubkey(),
        bump,
        shares_yes=1835823062,
        shares_no=916481020,
        total_invested=999928380 + 499942740,
        trades_count=2,
        last_trade_at=world.now,
    )
    assert world.data(position) == expected.pack()


BUYS = [
    (100, 100000000, 100000000, True, 1000000000, 1835823062, 27270774, 999928380, 504589428),
    (100, 1935823062, 100000000, False, 500000000, 916481020, 13634802, 499942740, 502298338),
    (100, 100000000, 100000000, True, 100000000, 209808351, 2723865, 99875050, 500524520),
    (100, 100000000, 100000000, False, 5000000, 37193300, 129513, 4748810, 499907017),
    (100, 100000000, 100000000, True, 10 * SOL, 17434120181, 272713575, 9999497750, 543475181),
    (
        *(100, 100000000, 100000000, True),
        *(100 * SOL, 137536048892, 2727267978, 99999825860, 797019535),
    ),
    (1000, SOL, SOL, True, 1000000000, 2099871638, 27265530, 999736100, 500524967),
    (1000, SOL, SOL, True, 200000000, 648498536, 5450340, 199845800, 500162124),
]


@pytest.mark.parametrize(
    ("b", "yes", "no", "side", "target", "shares", "protocol", "total", "price"), BUYS
)
def test_buy_vectors(
    world: World,
    b: int,
    yes: int,
    no: int,
    side: bool,
    target: int,
    shares: int,
    protocol: int,
    total: int,
    price: int,
) -> None:
    put_pool(world, b * SOL, yes, no)
    fees = world.lamports(world.fee_wallet)
    (sold,) = world.buy(world.users[0], side, target).events
    assert struct.unpack_from("<QQQ", sold, 73) == (shares, total, price)
    assert world.lamports(world.fee_wallet) - fees == protocol


@pytest.mark.parametrize(
    ("b", "smallest"), [(100, 1_071_510), (1000, 10_715_100), (10_000, 107_151_000)]
)
def test_small_first_buys_underflow(world: World, b: int, smallest: int) -> None:
    put_pool(world, b * SOL, b * SOL // 1000, b * SOL // 1000)
    assert world.buy(world.users[0], True, smallest * 9 // 10).code == 6034
    (bought,) = world.buy(world.users[0], True, smallest).events
    (shares,) = struct.unpack_from("<Q", bought, 73)
    assert shares > b * SOL * 28 // 100_000


def test_buy_of_zero_shares_succeeds_and_counts_as_a_trade(world: World) -> None:
    put_pool(world, B, 1935823062, 100000000)
    (bought,) = world.buy(world.users[0], True, 10_000).events
    assert struct.unpack_from("<QQ", bought, 73) == (0, 0)
    position = world.data(world.position(world.users[0]))
    assert struct.unpack_from("<QQQI", position, 72) == (0, 0, 0, 1)


def test_the_price_turns_around_far_from_balance(world: World) -> None:
    put_pool(world, B, 400 * SOL, 0)
    (bought,) = world.buy(world.users[0], True, SOL).events
    (price,) = struct.unpack_from("<Q", bought, 89)
    assert price < 928571428


def test_far_ahead_is_too_far(world: World) -> None:
    put_pool(world, B, 1001 * SOL, 0)
    assert world.buy(world.users[0], True, SOL).code == 6039


def test_a_small_b_can_be_opened_but_not_traded() -> None:
    world = World().reach(wire.ACTIVE, b=B - 1)
    world.wait(1)
    assert world.buy(world.users[0], True, SOL).code == 6042


def test_limits_of_the_target(world: World) -> None:
    assert world.buy(world.users[0], True, 9_999).code == 6018
    assert world.buy(world.users[0], True, 2**64 // 10_000 + 1).code == 6033


def test_fees_beyond_ten_percent_break_buying(world: World) -> None:
    world.update_config(fees=(300, 200, 600))
    assert world.buy(world.users[0], True, SOL).code == 6015


def test_lower_fees_leave_money_unspent(world: World) -> None:
    world.update_config(fees=(100, 100, 100))
    (bought,) = world.buy(world.users[0], True, SOL).events
    assert struct.unpack_from("<QQ", bought, 73) == (1835823062, 909025800 + 27270774)


def test_without_fees_there_is_no_trade(world: World) -> None:
    world.update_config(fees=(0, 0, 0))
    assert world.buy(world.users[0], True, SOL).code == 6035


def test_a_failed_buy_leaves_nothing_behind(world: World) -> None:
    user = world.users[0]
    world.put(user.pubkey(), b"", wire.SYSTEM, SOL // 2)
    market, own = world.data(world.market), world.lamports(user.pubkey())
    outcome = world.buy(user, True, SOL)
    assert outcome.code == 1
    assert world.svm.get_account(world.position(user)) is None
    assert world.data(world.market) == market
    assert world.lamports(user.pubkey()) == own - FEE


# --- sales ---

SELLS = [
    (100, 1935823062, 1016481020, True, 1835823062, 917919800, 826127820, 497708813),
    (100, 1935823062, 1016481020, True, 1000000000, 501610600, 451449540, 499798355),
    (100, 1935823062, 1016481020, False, 916481020, 454493400, 409044060, 504589428),
    (100, 1935823062, 100000000, True, 1835823062, 909025800, 818123220, 500000000),
    (1000, 25 * SOL, 10 * SOL, True, 5 * SOL, 2518866000, 2266979400, 502499979),
]


def seller(world: World, b: int, yes: int, no: int) -> tuple[wire.Market, wire.Position]:
    """A market rich enough for a sale, all of whose shares the first user holds."""
    market = put_pool(world, b * SOL, yes, no, liquidity=10 * SOL)
    world.put(world.market, market.pack(), lamports=20 * SOL)
    user = world.users[0].pubkey()
    where, bump = wire.position_address(world.market, user)
    position = wire.Position(world.market, user, bump, yes, no, total_invested=SOL, trades_count=3)
    world.put(where, position.pack(), lamports=wire.RENT[182])
    return market, position


@pytest.mark.parametrize(("b", "yes", "no", "side", "shares", "gross", "net", "price"), SELLS)
def test_sales_fail_as_deployed(
    world: World,
    b: int,
    yes: int,
    no: int,
    side: bool,
    shares: int,
    gross: int,
    net: int,
    price: int,
) -> None:
    seller(world, b, yes, no)
    before = world.data(world.market)
    outcome = world.sell(world.users[0], side, shares, net)
    assert outcome.code == ESCALATION
    assert f"{world.market}'s signer privilege escalated" in outcome.logs
    assert world.sell(world.users[0], side, shares, net + 1).code == 6015
    assert world.data(world.market) == before
    assert gross > net
    assert price


@pytest.mark.parametrize(("b", "yes", "no", "side", "shares", "gross", "net", "price"), SELLS)
@pytest.mark.process
def test_sales_as_intended(
    selling_program: bytes,
    b: int,
    yes: int,
    no: int,
    side: bool,
    shares: int,
    gross: int,
    net: int,
    price: int,
) -> None:
    world = World(program=selling_program).reach(wire.ACTIVE)
    market, position = seller(world, b, yes, no)
    user = world.users[0].pubkey()
    own, fees = world.lamports(user), world.lamports(world.fee_wallet)
    outcome = world.sell(world.users[0], side, shares, net)
    fields = [MID, bytes(user), flag(side), u64(shares, net, price), i64(world.now)]
    assert outcome.events == [event("SharesSold", *fields)]

    total_fee = gross - net
    protocol, resolver = total_fee * 300 // 1000, total_fee * 200 // 1000
    lp = total_fee - protocol - resolver
    sold_yes, sold_no = (shares, 0) if side else (0, shares)
    expected = replace(
        market,
        current_liquidity=10 * SOL - net - protocol,
        shares_yes=yes - sold_yes,
        shares_no=no - sold_no,
        total_volume=gross,
        accumulated_resolver_fees=resolver,
        accumulated_lp_fees=lp,
    )
    assert world.data(world.market) == expected.pack()
    changed = replace(
        position,
        shares_yes=yes - sold_yes,
        shares_no=no - sold_no,
        trades_count=4,
        last_trade_at=world.now,
    )
    assert world.data(world.position(world.users[0])) == changed.pack()
    assert world.lamports(user) - own == net - FEE
    assert world.lamports(world.fee_wallet) - fees == protocol
    assert world.lamports(world.market) == 20 * SOL - net - protocol


@pytest.mark.process
def test_an_intended_sale_keeps_the_rent(selling_program: bytes) -> None:
    world = World(program=selling_program).reach(wire.ACTIVE)
    market, _ = seller(world, 100, 1935823062, 1016481020)
    for lamports, code in ((451449539, 6046), (451449540 + wire.RENT[488] - 1, 6047)):
        world.put(world.market, market.pack(), lamports=lamports)
        assert world.sell(world.users[0], True, SOL).code == code


def test_sale_of_zero_shares_is_refused(world: World) -> None:
    seller(world, 100, 1935823062, 1016481020)
    assert world.sell(world.users[0], True, 0).code == 6018
