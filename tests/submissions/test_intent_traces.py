"""One trace from the decision of a run to finality, whoever drives the intent."""

from __future__ import annotations

import pytest

from tests.fixtures.spans import Memory, Seen, path_of
from tests.submissions.test_drive import ready
from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines import base58, tracing
from zmart_pipelines.store.tables.ops import attempts
from zmart_pipelines.submissions.intents import Intent

WHOLE = [
    "submission intent",
    "submission attempt",
    "transaction confirmed",
    "transaction final",
]
RUN = tracing.derive("run", "first")


def named(spans: list[Seen], name: str, intent: Intent) -> Seen:
    (found,) = (
        one
        for one in spans
        if one.name == name and one.attributes.get("zmart.intent_id") == intent.id
    )
    return found


def test_trace_goes_from_the_run_to_finality(memory: Memory, world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.sync()
    world.vote(market, [True] * 10)
    with tracing.span("run", key=RUN, job="aggregate_votes"):
        intent, _ = world.plan()
        report = world.drive()
    assert report.outcomes[0].status == "final"
    spans = memory.seen
    final = named(spans, "transaction final", intent)
    assert path_of(spans, final) == WHOLE
    first, attempt, confirmed = (named(spans, name, intent) for name in WHOLE[:3])
    assert len({one.trace for one in (first, attempt, confirmed, final)}) == 1
    assert first.links == attempt.links == (tuple(RUN),)
    (signature,) = report.outcomes[0].signatures
    assert {one.attributes["zmart.signature"] for one in (attempt, confirmed, final)} == {signature}
    assert first.start <= attempt.start <= confirmed.start <= confirmed.end <= final.end
    assert final.end <= attempt.end
    assert not attempt.is_error
    steps = {one.name: one.parent for one in spans if one.trace == first.trace}
    assert steps["simulation"] == first.span
    assert steps["sending"] == attempt.span
    assert {one.trace for one in spans if one.name == "run"} == {RUN.trace_id}


def test_run_that_takes_over_goes_on_with_the_trace(
    memory: Memory, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run signs and is killed before it sends; the second one drives it to its end."""
    ready(world)
    (planned,) = (one for one in memory.seen if one.attributes.get("zmart.intent_id") == 1)

    class Killed(BaseException):
        """As a kill between the commit of the attempt and its sending."""

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(world.rpc), "send", kill)
        with pytest.raises(Killed):
            world.drive()
    second = Memory(part="second")
    tracing.use(second.spans)
    with world.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE ops.leases SET expires_at = clock_timestamp()")
    assert {one.status for one in world.drive().outcomes} == {"final"}
    with world.engine.connect() as conn:
        row = conn.execute(attempts.select().where(attempts.c.intent_id == 1)).one()
    (final,) = (
        one
        for one in second.seen
        if one.name == "transaction final" and one.attributes["zmart.intent_id"] == 1
    )
    assert final.attributes["zmart.signature"] == base58.encode(row.signature)
    assert path_of([*memory.seen, *second.seen], final) == WHOLE
    assert final.trace == planned.trace
