"""A market's whole life without Dagster: ballots, plan and drive until it is FINALIZED."""

from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.ids import MEMO_PROGRAM
from zmart_pipelines.submissions.reports import DriveReport
from zmart_pipelines.voting import tallies
from zmart_pipelines.voting.bundle import recount


def ended(report: DriveReport) -> list[tuple[str, str]]:
    assert report.refused is None
    return [(one.action, one.status) for one in report.outcomes]


def memo_of(world: World, signature: str) -> list[str]:
    """The memos that a landed transaction's log shows."""
    result = world.chain.result(
        "getTransaction", signature, {"maxSupportedTransactionVersion": 0, "encoding": "json"}
    )
    assert str(MEMO_PROGRAM) in result["transaction"]["message"]["accountKeys"]
    return [line for line in result["meta"]["logMessages"] if "Memo (len" in line]


def test_undisputed_market(world: World) -> None:
    creator, resolver = wallet(1), wallet(2)
    world.fund(creator, resolver)
    market = world.propose(1, creator)
    world.sync()

    world.vote(market, [True] * 9)
    assert world.plan() == [], "nine ballots are too few"
    world.vote(market, [False], first=10)
    planned = world.plan()
    assert [(one.action, one.arguments) for one in planned] == [
        ("aggregate_proposal_votes", {"likes": 9, "dislikes": 1}),
        ("approve_proposal", {"likes": 9, "dislikes": 1}),
    ]
    report = world.drive()
    assert ended(report) == [("aggregate_proposal_votes", "final"), ("approve_proposal", "final")]
    account = world.market(market)
    assert account.state == MarketState.APPROVED
    assert (account.proposal_likes, account.proposal_dislikes) == (9, 1)

    cid = planned[0].bundle_cid
    assert cid is not None
    result = recount(cid, world.pins.get)
    assert (result.votes_for, result.votes_against, result.problems) == (9, 1, ())
    outcome = report.outcomes[0]
    assert len(outcome.signatures) == 1
    assert outcome.fee is not None
    assert outcome.fee > 5000
    assert outcome.compute_units
    assert f'"zmart ballots {cid}"' in memo_of(world, outcome.signatures[0])[0]

    world.trade(market, creator, resolver)
    world.resolve(market, resolver)
    world.sync()
    assert world.plan() == [], "the window is open"
    world.pass_time(15 + 2)
    assert [one.action for one in world.plan()] == ["finalize_market"]
    assert ended(world.drive()) == [("finalize_market", "final")]
    account = world.market(market)
    assert account.state == MarketState.FINALIZED
    assert account.final_outcome is True
    assert not account.was_disputed
    assert world.plan() == []
    assert world.drive().outcomes == ()
    assert world.effects(market, "ProposalAggregated") == 1
    assert world.effects(market, "MarketFinalized") == 1


def test_disputed_market(world: World) -> None:
    creator, *holders = (wallet(number) for number in range(1, 6))
    outsider = wallet(77)
    world.fund(creator, *holders, outsider)
    market = world.approve(1, creator)
    world.trade(market, creator, *holders)
    world.resolve(market, outsider)
    world.dispute(market, outsider)
    world.sync()
    world.vote(market, [True, True, True], kind="dispute", first=2)
    # On chain anyone may vote on a dispute; only holders count, and the chain's record wins.
    for voter in (holders[0], outsider):
        world.send(
            voter,
            ix.submit_dispute_vote(
                world.program, user=voter.pubkey(), market=world.address(market), vote=False
            ),
        )
    world.sync()
    with world.engine.connect() as conn:
        tally = tallies.current_tally(conn, market, "dispute")
    assert (tally.votes_for, tally.votes_against) == (2, 1)
    assert world.plan() == [], "the vote is open"
    world.pass_time(15 + 2)
    planned = world.plan()
    assert [(one.action, one.arguments) for one in planned] == [
        ("finalize_market", {"agree": 2, "disagree": 1})
    ]
    report = world.drive()
    assert ended(report) == [("finalize_market", "final")]
    assert memo_of(world, report.outcomes[0].signatures[0])
    account = world.market(market)
    assert account.state == MarketState.FINALIZED
    assert account.was_disputed
    assert account.final_outcome is False, "2 of 3 is 6666 bps, past 6000: flipped"
    assert (account.dispute_agree, account.dispute_disagree) == (2, 1)
    cid = planned[0].bundle_cid
    assert cid is not None
    result = recount(cid, world.pins.get)
    assert (result.from_chain, result.problems) == (1, ())
    assert world.effects(market, "MarketFinalized") == 1
    with world.engine.connect() as conn:
        assert tallies.find_mismatches(conn) == []


def test_many_markets_in_one_run(world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    markets = [world.propose(number, creator) for number in range(1, 9)]
    world.sync()
    for market in markets:
        world.vote(market, [True] * 10)
    assert len(world.plan()) == 16
    report = world.drive()
    assert {one.status for one in report.outcomes} == {"final"}
    assert len(report.outcomes) == 16
    assert {world.market(market).state for market in markets} == {MarketState.APPROVED}
