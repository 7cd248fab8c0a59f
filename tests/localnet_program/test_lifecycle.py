"""A market from its creation to its payout: accounts and events byte for byte, at every step."""

from dataclasses import replace

import pytest

from tests.localnet_program import wire
from tests.localnet_program.wire import event, flag, i64, option, u16, u32, u64
from tests.localnet_program.world import EVIDENCE, FEE, QUESTION, SOL, START, B, World

MID = bytes([1]) * 32


@pytest.fixture
def world() -> World:
    return World()


def config_of(world: World) -> wire.Config:
    return wire.Config(
        world.admin.pubkey(),
        world.backend.pubkey(),
        world.fee_wallet,
        bump=wire.config_address()[1],
    )


def created(world: World) -> wire.Market:
    return wire.Market(
        market_id=MID,
        creator=world.creator.pubkey(),
        b_parameter=B,
        initial_liquidity=SOL // 10,
        current_liquidity=SOL // 10,
        shares_yes=B // 1000,
        shares_no=B // 1000,
        ipfs_evidence_hash=QUESTION,
        created_at=START + 1,
        bump=wire.market_address(MID)[1],
    )


def approved(world: World) -> wire.Market:
    return replace(
        created(world), state=wire.APPROVED, proposal_votes=(7, 3), approved_at=START + 2
    )


def active(world: World) -> wire.Market:
    return replace(approved(world), state=wire.ACTIVE, activated_at=START + 3)


def resolving(world: World) -> wire.Market:
    return replace(
        active(world),
        state=wire.RESOLVING,
        proposed_outcome=True,
        resolver=world.resolver.pubkey(),
        ipfs_evidence_hash=EVIDENCE,
        resolution_proposed_at=START + 4,
    )


def disputed(world: World) -> wire.Market:
    return replace(
        resolving(world),
        state=wire.DISPUTED,
        dispute_initiator=world.users[0].pubkey(),
        dispute_initiated_at=START + 5,
    )


def test_initialize(world: World) -> None:
    before = world.lamports(world.admin.pubkey())
    outcome = world.initialize()
    assert outcome.events == [
        event(
            "GlobalConfigInitialized",
            bytes(world.admin.pubkey()),
            bytes(world.backend.pubkey()),
            u16(300),
            i64(START),
        )
    ]
    assert world.data(world.config) == config_of(world).pack()
    assert len(world.data(world.config)) == 206
    assert world.lamports(world.config) == 2_324_640
    assert before - world.lamports(world.admin.pubkey()) == 2_324_640 + FEE


def test_update_config(world: World) -> None:
    world.initialize()
    outcome = world.update_config((100, 250, 450), (6500, 5100), delay=30, period=120)
    numbers = u16(100, 250, 450, 6500, 5100)
    assert outcome.events == [event("ConfigUpdated", numbers, i64(30, 120, START))]
    expected = replace(
        config_of(world),
        protocol_fee_bps=100,
        resolver_reward_bps=250,
        liquidity_provider_fee_bps=450,
        proposal_approval_threshold=6500,
        dispute_success_threshold=5100,
        min_resolution_delay=30,
        dispute_period=120,
    )
    assert world.data(world.config) == expected.pack()
    outcome = world.update_config()
    assert outcome.events == [
        event("ConfigUpdated", u16(300, 200, 500, 7000, 6000), i64(30, 120, START))
    ]
    unchanged = replace(config_of(world), min_resolution_delay=30, dispute_period=120)
    assert world.data(world.config) == unchanged.pack()


def test_the_limits_of_the_config_are_allowed(world: World) -> None:
    world.initialize()
    assert world.update_config((10_000, 0, 0), (10_000, 10_000), delay=1, period=1).ok
    assert world.update_config((0, 0, 0), (0, 0)).ok
    assert world.update_config((10_000, 0, 1)).code == 6004
    assert world.update_config((0xFFFF, 0xFFFF, 0xFFFF)).code == 6004


def test_pause_is_a_toggle(world: World) -> None:
    world.initialize()
    for paused in (True, False):
        outcome = world.pause()
        assert outcome.events == [
            event(
                "ProtocolPauseStatusChanged",
                flag(paused),
                bytes(world.admin.pubkey()),
                i64(START),
            )
        ]
        assert world.data(world.config) == replace(config_of(world), is_paused=paused).pack()


def test_create(world: World) -> None:
    world.initialize()
    world.wait(1)
    before = world.lamports(world.creator.pubkey())
    outcome = world.create()
    assert outcome.events == [
        event("MarketCreated", MID, bytes(world.creator.pubkey()), u64(B), b"\0", i64(START + 1))
    ]
    assert world.data(world.market) == created(world).pack()
    assert len(world.data(world.market)) == 488
    assert world.lamports(world.market) == 4_287_360
    assert before - world.lamports(world.creator.pubkey()) == 4_287_360 + FEE


@pytest.mark.parametrize("kind", [wire.PROPOSAL, wire.DISPUTE])
@pytest.mark.parametrize("vote", [True, False])
def test_vote(world: World, kind: int, vote: bool) -> None:
    world.reach(wire.PROPOSED if kind == wire.PROPOSAL else wire.DISPUTED)
    market = world.data(world.market)
    user = world.users[3]
    before = world.lamports(user.pubkey())
    outcome = world.vote(user, vote, kind)
    name = "ProposalVoteSubmitted" if kind == wire.PROPOSAL else "DisputeVoteSubmitted"
    fields = [MID, bytes(user.pubkey()), flag(vote), i64(world.now)]
    assert outcome.events == [event(name, *fields)]
    where, bump = wire.vote_address(world.market, user.pubkey(), kind)
    record = wire.Vote(world.market, user.pubkey(), kind, vote, world.now, bump)
    assert world.data(where) == record.pack()
    assert len(world.data(where)) == 83
    assert world.lamports(where) == 1_468_560
    assert before - world.lamports(user.pubkey()) == 1_468_560 + FEE
    assert world.data(world.market) == market


@pytest.mark.parametrize(
    ("likes", "dislikes", "percentage", "reached"),
    [
        (0, 0, 0, False),
        (1, 0, 100, True),
        (7, 3, 70, True),
        (6999, 3001, 69, False),
        (2, 1, 66, False),
        (2**31, 2**31 - 1, 50, False),
    ],
)
def test_aggregate_proposal_votes(
    world: World, likes: int, dislikes: int, percentage: int, reached: bool
) -> None:
    world.reach(wire.PROPOSED)
    world.aggregate(1, 1)
    outcome = world.aggregate(likes, dislikes)
    numbers = u32(likes, dislikes) + bytes([percentage])
    assert outcome.events == [
        event("ProposalAggregated", MID, numbers, flag(reached), i64(START + 1))
    ]
    expected = replace(created(world), proposal_votes=(likes, dislikes))
    assert world.data(world.market) == expected.pack()


def test_a_zero_threshold_is_reached_without_votes(world: World) -> None:
    world.reach(wire.PROPOSED)
    world.update_config(thresholds=(0, 0))
    (reported,) = world.aggregate(0, 0).events
    assert reported[40:50] == u32(0, 0) + b"\0" + flag(True)


def test_approve(world: World) -> None:
    world.reach(wire.PROPOSED)
    world.wait(1)
    world.aggregate(7, 3)
    outcome = world.approve()
    assert outcome.events == [
        event("ProposalApproved", MID, bytes(world.admin.pubkey()), i64(START + 2))
    ]
    assert "Program log: State transition: Proposed -> Approved" in outcome.logs
    assert world.data(world.market) == approved(world).pack()


@pytest.mark.parametrize("by_admin", [False, True])
def test_activate(world: World, by_admin: bool) -> None:
    world.reach(wire.APPROVED)
    world.wait(1)
    outcome = world.activate(world.admin if by_admin else None)
    fields = [MID, bytes(world.creator.pubkey()), u64(SOL // 10), i64(START + 3)]
    assert outcome.events == [event("MarketActivated", *fields)]
    assert "Program log: State transition: Approved -> Active" in outcome.logs
    assert world.data(world.market) == active(world).pack()
    assert world.lamports(world.market) == 4_287_360


@pytest.mark.parametrize("state", [wire.PROPOSED, wire.APPROVED])
def test_cancel(world: World, state: int) -> None:
    world.reach(state)
    world.wait(10)
    outcome = world.cancel()
    assert outcome.events == [
        event("MarketCancelled", MID, bytes(world.admin.pubkey()), i64(world.now))
    ]
    before = [created, approved][state](world)
    expected = replace(before, state=wire.CANCELLED, cancelled_at=world.now)
    assert world.data(world.market) == expected.pack()
    assert world.cancel().code == 6012


@pytest.mark.parametrize("outcome", [True, False])
def test_resolve(world: World, outcome: bool) -> None:
    world.reach(wire.ACTIVE)
    world.wait(1)
    done = world.resolve(outcome)
    fields = [MID, bytes(world.resolver.pubkey()), flag(outcome), EVIDENCE, i64(START + 4)]
    assert done.events == [event("MarketResolved", *fields)]
    assert "Program log: State transition: Active -> Resolving" in done.logs
    assert world.data(world.market) == replace(resolving(world), proposed_outcome=outcome).pack()


def test_dispute(world: World) -> None:
    world.reach(wire.RESOLVING)
    world.wait(1)
    user = world.users[0]
    outcome = world.dispute(user)
    fields = [MID, bytes(user.pubkey()), option(flag(True)), i64(START + 5)]
    assert outcome.events == [event("DisputeInitiated", *fields)]
    assert "Program log: State transition: Resolving -> Disputed" in outcome.logs
    assert world.data(world.market) == disputed(world).pack()


@pytest.mark.parametrize("counts", [(None, None), (9, 1), (None, 5)])
def test_finalize_without_a_dispute(world: World, counts: tuple[int | None, int | None]) -> None:
    world.reach(wire.RESOLVING)
    world.set_time(START + 4 + 259_200)
    outcome = world.finalize(*counts)
    fields = [MID, option(flag(True)), flag(False), i64(world.now)]
    assert outcome.events == [event("MarketFinalized", *fields)]
    assert "Program log: State transition: Resolving -> Finalized" in outcome.logs
    expected = replace(
        resolving(world), state=wire.FINALIZED, final_outcome=True, finalized_at=world.now
    )
    assert world.data(world.market) == expected.pack()


@pytest.mark.parametrize(
    ("agree", "disagree", "flipped"),
    [(6, 4, True), (5999, 4001, False), (2, 1, True), (0, 1, False), (1, 0, True)],
)
def test_finalize_a_disputed_market(world: World, agree: int, disagree: int, flipped: bool) -> None:
    world.reach(wire.DISPUTED)
    outcome = world.finalize(agree, disagree)
    final = not flipped
    fields = [MID, option(flag(final)), flag(True), i64(START + 5)]
    assert outcome.events == [event("MarketFinalized", *fields)]
    assert "Program log: State transition: Disputed -> Finalized" in outcome.logs
    expected = replace(
        disputed(world),
        state=wire.FINALIZED,
        final_outcome=final,
        was_disputed=True,
        dispute_votes=(agree, disagree),
        finalized_at=START + 5,
    )
    assert world.data(world.market) == expected.pack()


@pytest.mark.parametrize(("agree", "disagree", "percentage"), [(5999, 4001, 59), (0, 0, 0)])
def test_a_reported_dispute_that_fails_leaves_no_outcome(
    world: World, agree: int, disagree: int, percentage: int
) -> None:
    world.reach(wire.DISPUTED)
    outcome = world.aggregate(agree, disagree, wire.DISPUTE)
    numbers = u32(agree, disagree) + bytes([percentage])
    assert outcome.events == [event("DisputeAggregated", MID, numbers, flag(False), i64(START + 5))]
    expected = replace(
        disputed(world),
        state=wire.FINALIZED,
        was_disputed=True,
        dispute_votes=(agree, disagree),
        resolved_at=START + 5,
    )
    assert world.data(world.market) == expected.pack()


def test_a_dispute_without_votes_fails_at_any_threshold(world: World) -> None:
    world.reach(wire.DISPUTED)
    world.update_config(thresholds=(0, 0))
    (reported,) = world.aggregate(0, 0, wire.DISPUTE).events
    assert reported[40:50] == u32(0, 0) + b"\0" + flag(False)
    assert world.data(world.market)[72] == wire.FINALIZED


def test_a_reported_dispute_that_succeeds_reopens_the_window(world: World) -> None:
    world.reach(wire.DISPUTED)
    outcome = world.aggregate(6, 4, wire.DISPUTE)
    assert outcome.events == [
        event("DisputeAggregated", MID, u32(6, 4), b"\x3c", flag(True), i64(START + 5))
    ]
    reopened = replace(
        disputed(world), state=wire.RESOLVING, was_disputed=True, dispute_votes=(6, 4)
    )
    assert world.data(world.market) == reopened.pack()

    assert world.resolve(False).code == 6007
    world.wait(1)
    assert world.dispute(world.users[1]).ok
    again = replace(
        reopened,
        state=wire.DISPUTED,
        dispute_votes=(0, 0),
        dispute_initiator=world.users[1].pubkey(),
        dispute_initiated_at=START + 6,
    )
    assert world.data(world.market) == again.pack()
    assert world.aggregate(6, 4, wire.DISPUTE).ok
    world.set_time(START + 4 + 259_200)
    assert world.finalize().ok
    confirmed = replace(
        again,
        state=wire.FINALIZED,
        dispute_votes=(6, 4),
        was_disputed=False,
        final_outcome=True,
        finalized_at=world.now,
    )
    assert world.data(world.market) == confirmed.pack()


def test_a_dispute_without_votes_cannot_be_finalized(world: World) -> None:
    world.reach(wire.DISPUTED)
    assert world.finalize(0, 0).code == 6024
    assert world.finalize().code == 6024
    assert world.finalize(1, None).code == 6024


def test_time_edges_of_a_resolution(world: World) -> None:
    world.reach(wire.ACTIVE)
    assert world.resolve().code == 6044  # in the second of the activation
    world.wait(1)
    assert world.resolve().ok
    proposed_at = world.now
    assert world.dispute(world.users[0]).code == 6044
    assert world.finalize().code == 6044
    world.set_time(proposed_at + 259_200 - 1)
    assert world.finalize().code == 6027
    world.set_time(proposed_at + 259_200)
    assert world.dispute(world.users[0]).code == 6020
    assert world.finalize().ok


def test_ten_years_after_creation_is_the_end(world: World) -> None:
    world.reach(wire.ACTIVE)
    world.set_time(START + 1 + 315_360_001)
    assert world.resolve().code == 6044
    world.set_time(START + 1 + 315_360_000)
    assert world.resolve().ok
    world.wait(1)
    assert world.dispute(world.users[0]).ok
    assert world.finalize(1, 0).code == 6044


def test_the_window_is_the_one_in_force_at_the_call(world: World) -> None:
    world.reach(wire.RESOLVING)
    world.wait(60)
    assert world.finalize().code == 6027
    world.update_config(period=60)
    assert world.finalize().ok


def test_pause_stops_creation_and_trade_alone(world: World) -> None:
    world.reach(wire.PROPOSED)
    world.pause()
    world.market_id = bytes([2]) * 32
    assert world.create().code == 6010
    world.market_id = MID
    assert world.vote(world.users[0], True).ok
    world.advance(lambda: world.aggregate(1, 0), world.approve, world.activate)
    world.wait(1)
    assert world.buy(world.users[0], True, SOL).code == 6010
    world.advance(world.resolve)
    world.advance(lambda: world.dispute(world.users[0]))
    assert world.vote(world.users[0], True, wire.DISPUTE).ok
    assert world.finalize(1, 0).ok


def test_no_instruction_runs_twice(world: World) -> None:
    assert world.initialize().ok
    assert world.initialize().code == 0
    assert world.create().ok
    assert world.create().code == 0
    assert world.vote(world.users[0], True).ok
    assert world.vote(world.users[0], False).code == 0
    world.wait(1)
    world.advance(lambda: world.aggregate(1, 0), world.approve)
    assert world.approve().code == 6006
    assert world.vote(world.users[0], False).code == 0  # the record comes before the state
    assert world.vote(world.users[1], False).code == 6051
    world.advance(world.activate)
    assert world.activate().code == 6006
    assert world.cancel().code == 6011
