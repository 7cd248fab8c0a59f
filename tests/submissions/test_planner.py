"""Planning: what lies between a decision and its intents, and what goes wrong there."""

from typing import Any

import pytest
from sqlalchemy import select, text

from tests.submissions.test_drive import open_alerts
from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.health.market_status import read_market_status
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.store.queries import markets
from zmart_pipelines.store.tables import ops
from zmart_pipelines.store.tables.ops import attempts
from zmart_pipelines.submissions import planner
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.market_reads import MarketRead, read_markets
from zmart_pipelines.submissions.statuses import Action
from zmart_pipelines.voting import tallies


def proposed(world: World, number: int = 1) -> bytes:
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(number, creator)
    world.sync()
    return market


class LateVoters(AccountReader):
    """Votes come in after the decision and before the freeze."""

    def __init__(self, world: World, choices: list[bool]) -> None:
        super().__init__(world.rpc, world.program)
        self._world = world
        self._choices = choices

    def vote_records(self, market_id: bytes, *arguments: Any, **more: Any) -> Any:
        self._world.vote(market_id, self._choices, first=50)
        self._choices = []
        return super().vote_records(market_id, *arguments, **more)


def test_late_ballots_that_change_the_decision_stop_the_freeze(world: World) -> None:
    market = proposed(world)
    world.vote(market, [True] * 10)
    reader = LateVoters(world, [False] * 5)
    assert planner.plan(world.engine, reader, world.settings, pins=world.pins) == []
    with world.engine.connect() as conn:
        tally = tallies.current_tally(conn, market, "proposal")
    assert (tally.status, tally.votes_for, tally.votes_against) == ("open", 10, 5)
    world.vote(market, [True] * 5, first=70)
    assert len(world.plan()) == 2, "15 of 20 is enough again"


def test_late_ballots_that_agree_are_counted(world: World) -> None:
    market = proposed(world)
    world.vote(market, [True] * 10)
    reader = LateVoters(world, [True, False])
    created = planner.plan(world.engine, reader, world.settings, pins=world.pins)
    assert {tuple(one.arguments.items()) for one in created} == {(("likes", 11), ("dislikes", 1))}
    assert created[0].market_id == market


class BrokenPins:
    def pin(self, data: bytes) -> str:
        raise PinError("no space left")

    def get(self, cid: str) -> bytes:
        raise PinError("no space left")

    def fetch_back(self, cid: str) -> bytes:
        raise PinError("no space left")

    def unpin(self, cid: str) -> None:
        raise PinError("no space left")

    def used_bytes(self) -> int:
        raise PinError("no space left")


def test_nothing_is_planned_before_its_bundle_is_pinned(world: World) -> None:
    market = proposed(world)
    world.vote(market, [True] * 10)
    assert planner.plan(world.engine, world.reader, world.settings, pins=BrokenPins()) == []
    assert open_alerts(world) == {f"bundle_not_pinned:{market.hex()}"}
    with world.engine.connect() as conn:
        frozen = tallies.current_tally(conn, market, "proposal")
    assert (frozen.status, frozen.bundle_cid) == ("frozen", None)
    created = world.plan()
    assert len(created) == 2
    assert created[0].bundle_cid is not None
    assert world.pins.get(created[0].bundle_cid)
    assert open_alerts(world) == set()
    assert world.plan() == []


def several(world: World, number: int) -> list[bytes]:
    """Proposals with enough likes, in the order in which they are planned."""
    creator = wallet(1)
    world.fund(creator)
    markets = [world.propose(one, creator) for one in range(1, number + 1)]
    world.sync()
    for market in markets:
        world.vote(market, [True] * 10)
    return markets


def test_folder_that_cannot_be_written_is_an_alert_for_each_market(world: World) -> None:
    markets = several(world, 2)
    place = world.settings.zmart_state / "no-folder"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")
    pins = LocalPinStore(place)
    assert planner.plan(world.engine, world.reader, world.settings, pins=pins) == []
    assert open_alerts(world) == {f"bundle_not_pinned:{market.hex()}" for market in markets}
    with world.engine.connect() as conn:
        messages = conn.execute(select(ops.alerts.c.message)).scalars().all()
    assert all("remove the file" in message for message in messages)
    place.unlink()
    assert len(planner.plan(world.engine, world.reader, world.settings, pins=pins)) == 4
    assert open_alerts(world) == set()


@pytest.mark.parametrize(
    ("error", "alerts"),
    [(DecodeError("a vote record of another layout"), 1), (RpcUnavailable("timed out"), 0)],
)
def test_failure_of_one_market_does_not_end_the_plan(
    world: World, error: Exception, alerts: int
) -> None:
    first, second = several(world, 2)

    class Broken(AccountReader):
        def vote_records(self, market_id: bytes, *rest: Any, **more: Any) -> Any:
            if market_id == first:
                raise error
            return super().vote_records(market_id, *rest, **more)

    reader = Broken(world.rpc, world.program)
    caught: list[Exception] = []
    try:
        planner.plan(world.engine, reader, world.settings, pins=world.pins)
    except RpcUnavailable as raised:
        caught.append(raised)
    assert caught == ([] if alerts else [error])
    with world.engine.connect() as conn:
        planned = set(conn.execute(select(ops.intents.c.market_id)).scalars())
    assert planned == {second}
    assert open_alerts(world) == ({f"planning_failed:{first.hex()}"} if alerts else set())
    assert {one.market_id for one in world.plan()} == {first}
    assert open_alerts(world) == set()


def test_plan_stops_trying_when_the_chain_cannot_be_read(world: World) -> None:
    markets = several(world, 5)
    asked: list[bytes] = []

    class Away(AccountReader):
        def vote_records(self, market_id: bytes, *rest: Any, **more: Any) -> Any:
            asked.append(market_id)
            raise RpcUnavailable("timed out")

    with pytest.raises(RpcUnavailable):
        planner.plan(world.engine, Away(world.rpc, world.program), world.settings, pins=world.pins)
    assert len(asked) == 3
    assert {one.market_id for one in world.plan()} == set(markets)


def test_only_the_requested_action_is_planned(world: World) -> None:
    market = proposed(world)
    world.vote(market, [True] * 10)
    assert world.plan({"finalize_market"}) == []
    assert world.plan({"approve_proposal"}) == [], "the counts are not on chain yet"
    with world.engine.connect() as conn:
        assert tallies.current_tally(conn, market, "proposal").status == "open"
    assert actions(world.plan({"aggregate_proposal_votes"})) == ["aggregate_proposal_votes"]
    assert world.plan({"aggregate_proposal_votes"}) == []
    world.drive()
    assert actions(world.plan({"approve_proposal"})) == ["approve_proposal"]


def test_alerts_of_other_actions_are_left_open(world: World) -> None:
    market = proposed(world)
    world.vote(market, [True] * 10)
    key = f"bundle_not_pinned:{market.hex()}"
    assert planner.plan(world.engine, world.reader, world.settings, pins=BrokenPins()) == []
    others: list[set[Action]] = [{"finalize_market"}, {"activate_market"}, {"approve_proposal"}]
    for other in others:
        assert world.plan(other) == []
        assert open_alerts(world) == {key}
    assert len(world.plan({"aggregate_proposal_votes"})) == 1
    assert open_alerts(world) == set()


def actions(created: list[Intent]) -> list[Action]:
    return [intent.action for intent in created]


def test_votes_on_chain_alone_are_enough(world: World) -> None:
    market = proposed(world)
    voters = [wallet(number) for number in range(1, 11)]
    world.fund(*voters)
    for voter in voters:
        world.send(
            voter,
            ix.submit_proposal_vote(
                world.program, user=voter.pubkey(), market=world.address(market), vote=True
            ),
        )
    world.sync()
    assert [one.arguments for one in world.plan()] == [{"likes": 10, "dislikes": 0}] * 2
    assert {one.status for one in world.drive().outcomes} == {"final"}


def test_a_cancelled_market_ends_both_intents(world: World) -> None:
    market = proposed(world)
    world.vote(market, [True] * 10)
    world.plan()
    admin = world.chain.keys["admin"]
    world.send(
        admin,
        ix.cancel_market(world.program, admin=admin.pubkey(), market=world.address(market)),
    )
    world.sync()
    report = world.drive()
    assert [(one.action, one.status) for one in report.outcomes] == [
        ("aggregate_proposal_votes", "superseded")
    ]
    with world.engine.connect() as conn:
        rows = conn.execute(text("SELECT action, status FROM ops.intents ORDER BY id")).all()
        assert [tuple(row) for row in rows] == [
            ("aggregate_proposal_votes", "superseded"),
            ("approve_proposal", "superseded"),
        ]
        assert conn.execute(select(attempts.c.id)).all() == []
    assert world.plan() == []


def test_a_reopened_vote_is_planned_again(world: World) -> None:
    """Ops reopen after the counts went on chain; the next round's counts replace them."""
    market = proposed(world)
    world.settings = world.settings.model_copy(update={"admin_keypair": None})
    world.vote(market, [True] * 10)
    world.plan()
    world.drive()
    with world.engine.begin() as conn:
        assert tallies.reopen(conn, market, "proposal", 1) == 1
    assert world.plan() == []
    world.vote(market, [True] * 11 + [False], round_number=1)
    assert [(one.round, one.arguments) for one in world.plan()] == [
        (1, {"likes": 11, "dislikes": 1})
    ]
    assert {one.status for one in world.drive().outcomes} == {"final"}
    account = world.market(market)
    assert (account.proposal_likes, account.proposal_dislikes) == (11, 1)
    assert account.state == MarketState.PROPOSED


def test_a_market_whose_bytes_cannot_be_read_is_set_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = proposed(world), proposed(world, 2)
    for market in (good, bad):
        world.vote(market, [True] * 10)
    real = read_markets

    def damaged(*arguments: Any) -> Any:
        return real(*arguments) | {bad: MarketRead(1, None, "12 bytes short")}

    monkeypatch.setattr("zmart_pipelines.submissions.planner.read_markets", damaged)
    assert {one.market_id for one in world.plan()} == {good}
    assert open_alerts(world) == {f"market_unreadable:{bad.hex()}"}
    monkeypatch.undo()
    assert {one.market_id for one in world.plan()} == {bad}
    assert open_alerts(world) == set()


def test_an_old_proposal_is_reviewed_once(world: World) -> None:
    market = proposed(world)
    key = f"proposal_review:{market.hex()}"
    world.pass_time(86_400 - 600)
    assert world.plan() == []
    assert open_alerts(world) == set()
    world.pass_time(600)
    for _ in range(2):
        assert world.plan() == []
        assert open_alerts(world) == {key}
    with world.engine.connect() as conn:
        raised = conn.execute(text("SELECT count(*) FROM ops.alerts")).scalar_one()
        row = markets.get(conn, market)
        assert row is not None
        status = read_market_status(conn, world.settings, row)
    assert raised == 1
    (blocker,) = status.blockers
    assert blocker.name == "proposal_review"
    assert blocker.detail["outcome"] == "no consensus"
    counts = ("votes_for", "votes_against", "ballots", "minimum_ballots", "threshold_bps")
    assert [blocker.detail[name] for name in counts] == [0, 0, 0, 10, 7000]
    assert blocker.detail["counted_at"]
    world.vote(market, [True] * 10)
    assert len(world.plan()) == 2
    world.drive()
    world.sync()
    world.plan()
    assert open_alerts(world) == set()


def test_a_dry_run_does_all_but_send(world: World) -> None:
    """Planned, frozen, pinned and simulated; on chain there is nothing, not even a try."""
    market = proposed(world)
    world.vote(market, [True] * 10)
    world.settings = world.settings.model_copy(update={"submissions_enabled": False})
    backend = world.chain.keys["backend"].pubkey()
    before = [
        world.rpc.signatures_for_address(one, commitment="confirmed")
        for one in (world.address(market), backend)
    ]
    funds = world.rpc.balance(backend, "confirmed").value
    planned = world.plan()
    assert [one.action for one in planned] == ["aggregate_proposal_votes", "approve_proposal"]
    assert world.pins.get(str(planned[0].bundle_cid))
    report = world.drive(seconds=10)
    assert [(one.status, one.signatures) for one in report.outcomes] == [("planned", ())]
    assert "simulated only" in str(report.outcomes[0].reason)
    world.chain.control.finalize()
    after = [
        world.rpc.signatures_for_address(one, commitment="confirmed")
        for one in (world.address(market), backend)
    ]
    assert after == before
    assert world.rpc.balance(backend, "confirmed").value == funds
    with world.engine.connect() as conn:
        assert conn.execute(select(attempts.c.id)).all() == []
    # Nothing of it is lost: what was planned is sent once sending is allowed.
    world.settings = world.settings.model_copy(update={"submissions_enabled": True})
    assert {one.status for one in world.drive().outcomes} == {"final"}
