"""Alerts of submissions, and what clears them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fixtures.postgres import name_database
from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.cli import main
from zmart_pipelines.monitoring import alerts
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.submissions import (
    effect_records,
    intents,
    lease,
    messages,
    operator_actions,
)
from zmart_pipelines.submissions.driven_intent import DrivenIntent
from zmart_pipelines.submissions.intents import Intent, alert_key
from zmart_pipelines.submissions.operator_actions import OperatorActionRefused
from zmart_pipelines.submissions.statuses import IntentStatus


def open_alerts(world: World) -> set[str]:
    with world.engine.connect() as conn:
        return {str(key) for key in alerts.open_alerts(conn)}


def ready(world: World) -> tuple[bytes, Intent, Intent]:
    """A proposal with its two intents planned: aggregation and approval."""
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.sync()
    world.vote(market, [True] * 10)
    aggregation, approval = world.plan()
    return market, aggregation, approval


def end(world: World, intent: Intent, status: IntentStatus) -> None:
    """The intent ends as the submitter lets it end."""
    with world.engine.begin() as conn:
        held = lease.acquire(conn, "test", 30)
        assert held is not None
        intents.claim_for_epoch(conn, held)
    effect = messages.Settle(status, "for the test", None, "Unauthorized")
    effect_records.record(
        world.engine, held, DrivenIntent(intent), effect, effect_records.TransactionCost(), Policy()
    )
    with world.engine.begin() as conn:
        lease.release(conn, held)


def status(world: World, intent: Intent) -> str:
    with world.engine.connect() as conn:
        return intents.get(conn, intent.id).status


@pytest.mark.parametrize("ended", ["failed", "quarantined"])
def test_alert_clears_when_the_retry_becomes_final(world: World, ended: IntentStatus) -> None:
    market, aggregation, approval = ready(world)
    end(world, aggregation, ended)
    assert open_alerts(world) == {str(alert_key(aggregation))}
    assert status(world, approval) == "superseded"
    assert world.drive().outcomes == (), "what ended stays as it is"
    with world.engine.begin() as conn:
        assert [one.id for one in operator_actions.failed_intents(conn)] == [aggregation.id]
        operator_actions.retry(conn, aggregation.id)
    assert open_alerts(world) == {str(alert_key(aggregation))}, "not before it is final"
    assert {one.status for one in world.drive().outcomes} == {"final"}
    assert world.market(market).state == MarketState.APPROVED
    assert open_alerts(world) == set()


def test_alert_clears_when_another_transaction_did_it(world: World) -> None:
    market, aggregation, _ = ready(world)
    end(world, aggregation, "quarantined")
    backend = world.chain.keys["backend"]
    world.send(
        backend,
        ix.aggregate_proposal_votes(
            world.program,
            backend_authority=backend.pubkey(),
            market=world.address(market),
            likes=10,
            dislikes=0,
        ),
    )
    assert open_alerts(world) == {str(alert_key(aggregation))}, "no run has checked yet"
    world.chain.control.finalize()
    world.drive()
    assert open_alerts(world) == set()
    assert status(world, aggregation) == "quarantined"


def test_retry_and_close_by_command(
    world: World, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name_database(monkeypatch, database)
    monkeypatch.setenv("ZMART_STATE", str(tmp_path / "no-state"))
    _, aggregation, approval = ready(world)

    def run(*words: str) -> tuple[int, str]:
        answer = CliRunner().invoke(main, ["submissions", *words])
        return answer.exit_code, answer.output

    assert run() == (0, "no submission needs an operator\n")
    end(world, aggregation, "failed")
    code, said = run()
    assert code == 1
    assert "aggregate_proposal_votes" in said
    assert "for the test" in said
    assert '"status":"failed"' in run("--json")[1]

    assert run("close", str(approval.id + 7), "--reason", "x")[0] == 1
    assert run("retry", str(approval.id)) == (
        1,
        f"intent {approval.id} is superseded: only failed and quarantined intents can be retried\n",
    )
    assert run("close", str(aggregation.id), "--reason", " ")[0] == 1
    assert run("close", str(aggregation.id), "--reason", "not ours")[0] == 0
    assert open_alerts(world) == set()
    with world.engine.connect() as conn:
        assert intents.get(conn, aggregation.id).reason == "for the test; closed: not ours"

    assert run("retry", str(aggregation.id))[0] == 0
    assert status(world, aggregation) == "planned"
    assert status(world, approval) == "planned"
    with pytest.raises(OperatorActionRefused, match="is planned"), world.engine.begin() as conn:
        operator_actions.close(conn, aggregation.id, "too early")
    assert {one.status for one in world.drive().outcomes} == {"final"}
