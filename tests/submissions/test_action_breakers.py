"""An action's breaker: what the submitter does when an action fails market by market."""

from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.breakers.machine import Permit, Policy, Refusal, State
from zmart_pipelines.breakers.policies import action_name
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.monitoring.alerts import AlertKey, open_alerts
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.store.queries.breakers import breaker_statuses
from zmart_pipelines.store.tables import ops
from zmart_pipelines.submissions import action_breakers, machine, messages
from zmart_pipelines.submissions import intents as intent_rows
from zmart_pipelines.submissions.driven_intent import DrivenIntent
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.reports import DriveReport

NAME = action_name("finalize_market")
WINDOW = 3600


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are shorter here."""
    monkeypatch.setattr(machine, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(machine, "FIRST_PAUSE", 0.2)


class CountingRpc:
    """The client, with the simulations counted."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client
        self.simulations = 0

    def __getattr__(self, name: str) -> Any:
        self.simulations += name == "simulate"
        return getattr(self._client, name)


def resolving(world: World, numbers: range) -> list[bytes]:
    """Markets whose dispute window is open: too early to be finalized."""
    creator = wallet(1)
    world.fund(creator)
    markets = [world.approve(number, creator) for number in numbers]
    for market in markets:
        world.trade(market, creator)
        world.resolve(market, creator)
    world.sync()
    return markets


def plant(world: World, markets: list[bytes]) -> list[Intent]:
    planted = []
    with world.engine.begin() as conn:
        for market in markets:
            intent = intent_rows.create(
                conn, market_id=market, action="finalize_market", round_number=0, arguments={}
            )
            assert intent is not None
            planted.append(intent)
    return planted


def state(world: World) -> State:
    with world.engine.connect() as conn:
        (found,) = [one for one in breaker_statuses(conn) if one.name == NAME]
    return State(found.state)


def past_its_pause(world: World) -> None:
    with world.engine.begin() as conn:
        conn.execute(
            update(ops.breakers)
            .where(ops.breakers.c.name == NAME)
            .values(wait_until=ops.breakers.c.opened_at)
        )
        conn.execute(update(ops.intents).values(retry_at=ops.intents.c.created_at))


def reasons(report: DriveReport) -> list[str]:
    return [one.reason or "" for one in report.outcomes]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("world", [("--dispute-period", str(WINDOW))], indirect=True)
def test_an_action_that_fails_stops_and_is_probed(world: World) -> None:
    settings = world.settings
    assert settings.breaker_action_failures == 3
    markets = resolving(world, range(1, 6))
    world.rpc = cast(RpcClient, counting := CountingRpc(world.rpc))

    # The same market as often as it likes: it is not the action that fails.
    plant(world, markets[:1])
    world.drive(seconds=1.5)
    assert counting.simulations > 1
    assert state(world) is State.CLOSED

    # Three markets, and it opens.
    plant(world, markets[1:3])
    world.drive(seconds=1)
    assert state(world) is State.OPEN

    # While it is open nothing is tried, for no market; other actions go on.
    planted = plant(world, markets[3:])
    creator = wallet(1)
    proposal = world.propose(9, creator)
    world.sync()
    world.vote(proposal, [True] * 10)
    world.plan()
    counting.simulations = 0
    report = world.drive(seconds=20)
    ours = [one for one in report.outcomes if one.market_id == proposal]
    assert [one.status for one in ours] == ["final", "final"]
    assert counting.simulations == 2
    by_id = {one.intent_id: one for one in report.outcomes}
    for intent in planted:
        assert by_id[intent.id].status == "planned"
        assert "the breaker of finalize_market is open until" in (by_id[intent.id].reason or "")
        assert "DisputePeriodNotEnded" in (by_id[intent.id].reason or "")
        assert by_id[intent.id].signatures == ()

    # After five minutes an alert is raised.
    with world.engine.begin() as conn:
        (stopped,) = update_breaker_alerts(conn)
        assert stopped.opened_at is not None
        update_breaker_alerts(conn, now=stopped.opened_at + timedelta(minutes=5, seconds=1))
        assert AlertKey("breaker", subject=NAME) in open_alerts(conn)

    # One probe, with a market that is not to blame; it fails as well.
    past_its_pause(world)
    counting.simulations = 0
    world.drive(seconds=1)
    assert counting.simulations == 1
    assert state(world) is State.OPEN
    with world.engine.connect() as conn:
        assert [intent_rows.get(conn, one.id).failures for one in planted] == [1, 0]

    # The next probe succeeds, and all others follow in the same run.
    world.chain.control.advance(slots=3, seconds=WINDOW)
    past_its_pause(world)
    report = world.drive()
    assert {one.status for one in report.outcomes} == {"final"}
    assert len(report.outcomes) == 5
    assert state(world) is State.CLOSED
    with world.engine.connect() as conn:
        signed = conn.execute(
            select(ops.attempts.c.market_id, ops.attempts.c.signed_at, ops.attempts.c.settled_at)
            .join(ops.intents, ops.intents.c.id == ops.attempts.c.intent_id)
            .where(ops.intents.c.action == "finalize_market")
            .order_by(ops.attempts.c.id)
        ).all()
    probe, *others = signed
    assert probe.market_id == markets[4], "the one that had failed least"
    assert all(one.signed_at > probe.settled_at for one in others)


@pytest.mark.parametrize("world", [("--dispute-period", str(WINDOW))], indirect=True)
def test_a_reset_by_hand_lets_all_go_on(world: World) -> None:
    world.settings = world.settings.model_copy(update={"breaker_action_failures": 1})
    markets = resolving(world, range(1, 3))
    plant(world, markets)
    world.drive(seconds=2)
    assert state(world) is State.OPEN
    world.chain.control.advance(slots=3, seconds=WINDOW)
    assert all("is open until" in reason for reason in reasons(world.drive(seconds=1)))
    with world.engine.begin() as conn:
        assert breaker_rows.reset(conn, NAME)
    assert {one.status for one in world.drive().outcomes} == {"final"}


def effects(error: str | None) -> list[messages.Effect]:
    return [
        messages.MarkDead("landed and failed", 2.0, 1, error),
        messages.Postpone("simulation", 2.0, 1, error),
        messages.Settle("failed", "simulation", None, error),
    ]


def test_what_counts_as_a_failure(world: World) -> None:
    """The program's rejection counts; a faster transaction or an unreachable node does not."""
    (intent,) = plant(world, [bytes(32)])
    policy = Policy(failures=100)
    job = DrivenIntent(intent)

    def failures(effect: messages.Effect) -> int:
        with world.engine.begin() as conn:
            action_breakers.record_effect(conn, policy, job, effect)
            found = [one.failures for one in breaker_statuses(conn) if one.name == NAME]
            breaker_rows.reset(conn, NAME)
        return found[0] if found else 0

    for effect in effects("Unauthorized"):
        assert failures(effect) == 1
    for overtaken in sorted(action_breakers.OVERTAKEN):
        for effect in effects(overtaken):
            assert failures(effect) == 0
    for effect in effects(None):
        assert failures(effect) == 0
    for effect in (
        messages.MarkSent(),
        messages.MarkLanded(3),
        messages.Settle("superseded", "disputed", "final"),
    ):
        assert failures(effect) == 0


def test_unused_probe_is_returned(world: World) -> None:
    (intent,) = plant(world, [bytes(32)])
    policy = Policy(failures=1)
    with world.engine.begin() as conn:
        action_breakers.record_effect(
            conn,
            policy,
            DrivenIntent(intent),
            messages.Postpone("simulation", 2.0, 1, "Unauthorized"),
        )
    past_its_pause(world)
    with world.engine.begin() as conn:
        permits = action_breakers.ActionPermits(conn, policy)
        permit = permits.request("finalize_market")
        assert isinstance(permit, Permit)
        assert permit.probe
        assert isinstance(permits.request("finalize_market"), Refusal)
        unreachable = messages.Postpone("unreachable", 2.0, 0)
        action_breakers.record_effect(
            conn, policy, DrivenIntent(intent, permit=permit), unreachable
        )
        assert isinstance(permits.request("finalize_market"), Permit)
