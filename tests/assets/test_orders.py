"""Orders of operators in Dagster: the sensor starts each once, a run carries it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine

from assets.definitions import build_defs
from assets.defs.sensors.orders import ORDER_TAG
from assets.resources import Backend
from assets.run_lanes import LANE_TAG
from assets.sensor_ticks import Tick
from tests.assets.life import Life
from tests.assets.test_operators import traded
from tests.assets.test_sensors import tick
from tests.fixtures.localnet import Localnet
from tests.operations import world
from zmart_pipelines.operations.order_execution import MOST_ATTEMPTS
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.audit import ServiceActor
from zmart_pipelines.store.engine import Role, act_as_operator
from zmart_pipelines.store.queries import orders
from zmart_pipelines.store.queries.orders import NewOrder, OrderRow
from zmart_pipelines.submissions import intents

OFF = {"action": "all", "enabled": False}


@pytest.fixture
def backend(database: str) -> Backend:
    """The database alone; the chain is not asked."""
    return Backend(Settings(**login_settings(database)))


@pytest.fixture
def api(database: str) -> Iterator[Engine]:
    made = role_engine(Role.API, database)
    yield made
    made.dispose()


def order(api: Engine, kind: str, parameters: dict[str, Any], key: str = "k") -> int:
    new = NewOrder(kind, parameters, "a drill", key, ServiceActor("desk", None))
    with api.begin() as conn:
        act_as_operator(conn, None)
        made = orders.add(conn, new)
    assert made is not None
    return made.id


def stored(backend: Backend, number: int) -> OrderRow:
    with backend.engine(Role.PIPELINES).connect() as conn:
        found = orders.by_id(conn, number)
    assert found is not None
    return found


def requested(result: Tick) -> list[dg.RunRequest]:
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []


def carry_out(
    backend: Backend, instance: dg.DagsterInstance, request: dg.RunRequest
) -> dg.ExecuteInProcessResult:
    """Execute the run that the sensor requested."""
    definitions = build_defs(resource_overrides={"backend": backend})
    return definitions.resolve_job_def("carry_out_order").execute_in_process(
        instance=instance,
        run_config=request.run_config,
        tags=request.tags,
        raise_on_error=False,
    )


def ended_run(instance: dg.DagsterInstance, number: int) -> None:
    """A run of the order that was killed."""
    instance.add_run(
        dg.DagsterRun(
            job_name="carry_out_order",
            status=dg.DagsterRunStatus.FAILURE,
            tags={ORDER_TAG: str(number)},
        )
    )


def test_order_gets_one_run_which_carries_it_out(
    backend: Backend, instance: dg.DagsterInstance, api: Engine
) -> None:
    assert requested(tick("order_sensor", backend, instance)) == []
    number = order(api, "switch", OFF)
    (request,) = requested(tick("order_sensor", backend, instance))
    (again,) = requested(tick("order_sensor", backend, instance))
    assert request.run_key == again.run_key == f"order-{number}-1", "Dagster starts a key once"
    assert request.tags[ORDER_TAG] == str(number)
    result = carry_out(backend, instance, request)
    assert result.success
    row = stored(backend, number)
    assert (row.status, row.result, row.run_id) == ("done", "all is off", result.run_id)
    (act,) = world.acts(backend.engine(Role.PIPELINES))
    assert (act.entry_point, act.service, act.action) == ("dagster", "desk", "switch")
    assert act.details["run_id"] == result.run_id
    assert requested(tick("order_sensor", backend, instance)) == []


def test_order_whose_run_is_in_flight_gets_no_other(
    backend: Backend, instance: dg.DagsterInstance, api: Engine
) -> None:
    number = order(api, "switch", OFF)
    instance.add_run(
        dg.DagsterRun(
            job_name="carry_out_order",
            status=dg.DagsterRunStatus.STARTED,
            tags={ORDER_TAG: str(number)},
        )
    )
    assert requested(tick("order_sensor", backend, instance)) == []


def test_killed_run_is_followed_by_another_and_the_last_gives_up(
    backend: Backend, instance: dg.DagsterInstance, api: Engine
) -> None:
    number = order(api, "switch", OFF)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        (request,) = requested(tick("order_sensor", backend, instance))
        assert request.run_key == f"order-{number}-{attempt}"
        ended_run(instance, number)
    assert requested(tick("order_sensor", backend, instance)) == []
    row = stored(backend, number)
    assert (row.status, row.attempts) == ("failed", 0)
    assert "given up after 5 runs" in (row.result or "")
    (act,) = world.acts(backend.engine(Role.PIPELINES))
    assert act.action == "order_failed"


def test_refused_order_is_a_run_that_succeeds_and_says_why(
    backend: Backend, instance: dg.DagsterInstance, api: Engine
) -> None:
    """What an operator asked for wrongly is no failure of the pipelines."""
    number = order(api, "breaker_reset", {"name": "rpc:none"})
    (request,) = requested(tick("order_sensor", backend, instance))
    result = carry_out(backend, instance, request)
    assert result.success
    assert stored(backend, number).status == "failed"
    (event,) = [event for event in result.all_events if event.is_step_materialization]
    assert event.materialization.metadata["Result"].value == "there is no breaker rpc:none"


def test_backfill_runs_in_its_own_lane_with_its_own_limit(
    backend: Backend, instance: dg.DagsterInstance, api: Engine
) -> None:
    order(api, "backfill", {"first_slot": 0, "last_slot": 5})
    order(api, "redecode", {}, "other")
    first, second = requested(tick("order_sensor", backend, instance))
    assert first.tags[LANE_TAG] == "bulk"
    assert int(first.tags["dagster/max_runtime"]) > 3600
    assert LANE_TAG not in second.tags, "the job's own: operators"


def test_ordered_resolution_is_the_intent_that_the_resolvers_key_signs(
    localnet: Localnet, database: str, instance: dg.DagsterInstance, api: Engine
) -> None:
    life = Life.start(localnet, database, wallets=13)
    resolver = localnet.state / "keys" / "admin.json"
    life.settings = life.settings.model_copy(update={"resolver_keypair": resolver})
    backend = Backend(life.settings)
    market = traded(life, api, backend)
    wanted = {"market": market.hex(), "outcome": True, "evidence": "Three closed above 200."}
    for key in ("one", "two"):
        number = order(api, "resolve_market", wanted, key)
        (request,) = requested(tick("order_sensor", backend, instance))
        assert carry_out(backend, instance, request).success
        row = stored(backend, number)
        assert row.status == "done", row.result
        assert "resolves it, with the evidence Qm" in (row.result or "")
    with backend.engine(Role.PIPELINES).connect() as conn:
        intent = intents.latest(conn, market, "resolve_market")
    assert intent is not None
    assert (intent.status, intent.round) == ("planned", 0), "ordered twice, it is one intent"
    acted = [act for act in world.acts(backend.engine(Role.PIPELINES)) if act.service == "desk"]
    assert [(act.action, act.subject, act.reason) for act in acted] == [
        ("resolve_market", market.hex(), "a drill")
    ]


def test_run_of_an_unknown_order_fails(backend: Backend, instance: dg.DagsterInstance) -> None:
    request = dg.RunRequest(run_config={"ops": {"orders": {"config": {"order": 4711}}}})
    assert not carry_out(backend, instance, request).success
    assert carry_out(backend, instance, dg.RunRequest()).success, "without a config it shows"
