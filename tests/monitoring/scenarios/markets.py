"""Scenarios of markets and of the program, on a chain."""

from __future__ import annotations

import time
from collections.abc import Iterator

from localnet.scripted_program import SCRIPTED_PROGRAM_SO
from tests.monitoring.scenarios.stage import Stage, scenario
from tests.submissions.oversized_vote import oversized_vote
from tests.submissions.test_planner import proposed
from tests.submissions.test_resolutions import draft, request, traded
from tests.voting.world import wallet
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.settings import Settings, Threshold

DISPUTE = 3_600


def without_admin(stage: Stage) -> None:
    stage.world.settings = stage.world.settings.model_copy(update={"admin_keypair": None})


def with_admin(stage: Stage) -> None:
    stage.world.settings = Settings(
        **stage.world.settings.model_dump(exclude={"admin_keypair"}),
        admin_keypair=stage.world.chain.state / "keys" / "admin.json",
    )


@scenario("proposal_review")
def a_day_without_votes(stage: Stage) -> Iterator[None]:
    market = proposed(stage.world)
    stage.world.pass_time(86_400)
    stage.world.plan()
    yield
    stage.world.vote(market, [True] * 10)
    stage.world.plan()
    stage.world.drive()
    stage.sync_and_plan()


@scenario("approval_needs_admin")
def counts_without_the_admins_key(stage: Stage) -> Iterator[None]:
    market = proposed(stage.world)
    without_admin(stage)
    stage.world.vote(market, [True] * 10)
    stage.world.plan()
    stage.world.drive()
    stage.world.plan()
    yield
    with_admin(stage)
    stage.world.plan()


@scenario("threshold_raised")
def threshold_above_the_counts(stage: Stage) -> Iterator[None]:
    market = proposed(stage.world)
    without_admin(stage)
    stage.world.vote(market, [True] * 8 + [False] * 2)
    stage.world.plan()
    stage.world.drive()
    stage.configure(proposal_approval_threshold=9_000)
    stage.sync_and_plan()
    yield
    stage.configure(proposal_approval_threshold=7_000)
    stage.world.sync()
    with_admin(stage)
    stage.world.plan()


@scenario("too_many_ballots")
def weights_above_u32(stage: Stage) -> Iterator[None]:
    """Trades become known after the vote began, with a unit that was fine enough until then."""
    oversized_vote(stage.world, period=DISPUTE)
    stage.world.plan()
    yield  # the drill reopens the vote by the runbook's command
    stage.world.plan()


@scenario("resolution_due")
def end_time_passes(stage: Stage) -> Iterator[None]:
    world = stage.world
    market = traded(world)
    draft(world, market, world.rpc.chain_clock("finalized").unix_timestamp + 600)
    world.pass_time(601)
    world.plan()
    yield
    request(world, market)
    world.drive()
    stage.sync_and_plan()


@scenario("unexpected_resolution")
def resolved_by_an_unknown_wallet(stage: Stage) -> Iterator[None]:
    market = stage.traded(wallet(1))
    admin = stage.world.chain.keys["admin"].pubkey()
    stage.world.settings = stage.world.settings.model_copy(
        update={"expected_resolvers": str(admin)}
    )
    stage.world.resolve(market, wallet(1))
    stage.sync_and_plan()
    yield
    stage.world.dispute(market, wallet(1))
    stage.sync_and_plan()


@scenario("resolving_after_dispute")
def dispute_ended_by_another_transaction(stage: Stage) -> Iterator[None]:
    market = stage.traded(wallet(1))
    stage.world.resolve(market, wallet(1))
    stage.world.dispute(market, wallet(1))
    stage.end_dispute(market, agrees=9, disagrees=1)
    stage.sync_and_plan()
    yield
    stage.world.dispute(market, wallet(1))
    stage.sync_and_plan()


@scenario("dispute_without_ballots")
def nobody_votes_on_a_dispute(stage: Stage) -> Iterator[None]:
    market = stage.traded(wallet(1))
    stage.world.resolve(market, wallet(1))
    stage.world.dispute(market, wallet(1))
    stage.world.pass_time(DISPUTE + 60)
    stage.world.plan()
    yield
    stage.world.vote(market, [True], kind="dispute")
    stage.world.plan()


@scenario("dispute_short_of_ballots")
def too_few_vote_on_a_dispute(stage: Stage) -> Iterator[None]:
    holders = [wallet(1), wallet(2)]
    market = stage.traded(*holders)
    stage.world.resolve(market, holders[0])
    stage.world.dispute(market, holders[0])
    stage.world.settings = stage.world.settings.model_copy(update={"min_dispute_votes": 2})
    stage.world.sync()
    stage.world.vote(market, [True], kind="dispute")
    stage.world.pass_time(DISPUTE + 60)
    stage.world.plan()
    yield
    stage.world.vote(market, [True], kind="dispute", first=2)
    stage.world.plan()


@scenario("stuck_market")
def approved_and_never_activated(stage: Stage) -> Iterator[None]:
    """The chain of the tests began months ago."""
    stage.world.fund(wallet(1))
    market = stage.world.approve(1, wallet(1))
    stage.world.sync()
    stage.monitor(stuck_approved_seconds=604_800)
    yield
    stage.by_admin(ix.cancel_market, market)
    stage.world.sync()
    stage.monitor(stuck_approved_seconds=604_800)


@scenario("stuck_markets", also=("stuck_market",))
def several_approved_and_never_activated(stage: Stage) -> Iterator[None]:
    limits = {"stuck_approved_seconds": 604_800, "stuck_markets": Threshold(2, 50)}
    stage.world.fund(wallet(1))
    first, _ = (stage.world.approve(number, wallet(1)) for number in (1, 2))
    stage.world.sync()
    stage.monitor(**limits)
    yield
    stage.by_admin(ix.cancel_market, first)
    stage.world.sync()
    stage.monitor(**limits)


@scenario("early_withdrawal", also=("claims_not_payable",))
def creator_withdraws_before_the_claims(stage: Stage) -> Iterator[None]:
    creator, buyer = wallet(1), wallet(2)
    market = stage.without_outcome(buyer)
    address = stage.world.address(market)
    stage.world.send(
        creator,
        ix.withdraw_liquidity(stage.world.program, creator=creator.pubkey(), market=address),
    )
    stage.world.sync()
    stage.monitor()
    yield
    stage.world.chain.airdrop(address, 2_000_000_000)
    stage.world.send(
        buyer,
        ix.claim_winnings(
            stage.world.program, user=buyer.pubkey(), market=address, resolver=creator.pubkey()
        ),
    )
    stage.world.sync()
    stage.monitor()


@scenario("claims_not_payable")
def refunds_exceed_the_balance(stage: Stage) -> Iterator[None]:
    """Refunds pay back fees that have left the market."""
    market = stage.without_outcome(wallet(2), wallet(3))
    stage.monitor()
    yield
    stage.world.chain.airdrop(stage.world.address(market), 1_000_000_000)
    stage.world.chain.control.finalize()
    stage.monitor()


@scenario("config_changed", shows="310")
def fee_is_changed(stage: Stage) -> Iterator[None]:
    """The alert is over by itself, by default after a day."""
    world = stage.world
    past = time.time() - 60
    world.pass_time(int(past) - world.rpc.chain_clock("finalized").unix_timestamp)
    stage.configure(protocol_fee_bps=305)
    world.sync()
    stage.monitor()
    assert stage.open() == [], "a configuration before the first market is the deployment's own"
    world.fund(wallet(1))
    world.propose(1, wallet(1))
    world.pass_time(5)
    stage.configure(protocol_fee_bps=310)
    world.sync()
    stage.monitor()
    yield
    stage.monitor(config_alert_seconds=1)


@scenario("program_upgraded")
def other_code_is_deployed(stage: Stage) -> Iterator[None]:
    chain = stage.world.chain
    stage.monitor()
    assert stage.open() == [], "the first code is accepted"
    flags = chain._flags
    chain._flags = (*flags, "--program", str(SCRIPTED_PROGRAM_SO))
    chain.restart()
    stage.monitor()
    yield
    chain._flags = flags
    chain.restart()
    stage.monitor()


@scenario("fee_burn", shows="aggregate_proposal_votes")
def transactions_cost_more_than_usual(stage: Stage) -> Iterator[None]:
    limits = {"fee_burn_hour_lamports": Threshold(5_000, 10**9)}
    stage.world.fund(wallet(1))
    stage.world.approve(1, wallet(1))
    stage.monitor(**limits)
    yield
    stage.pass_time(3_601)
    stage.monitor(**limits)
