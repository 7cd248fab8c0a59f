"""``chain/backfill`` on the real chain and the real Postgres: partitions, resuming."""

from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.dagster_internals import partition_range_tags
from assets.definitions import build_defs
from assets.defs.backfill import MAX_PARTITIONS, RANGES_NAME, partition_key, partition_slots
from assets.defs.sensors.uncovered_ranges import backfill_request, uncovered_ranges_sensor
from assets.resources import Backend
from assets.sensor_ticks import Tick
from tests.assets.life import Life, Metadata
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.ledger.readers.backfill import backfill, backfill_client
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import health

ASSET = dg.AssetKey(["chain", "backfill"])
SIZE = 8
RANGE_START, RANGE_END = partition_range_tags("", "")


@pytest.fixture
def life(start_localnet: StartLocalnet, database: str) -> Life:
    life = Life.start(start_localnet("--finality-depth", "4"), database, wallets=2)
    update = {"backfill_calls_per_second": 5000.0, "backfill_partition_slots": SIZE}
    life.settings = life.settings.model_copy(update=update)
    for _ in range(6):
        life.propose()
        life.chain.control.advance(3)
    life.chain.control.finalize()
    return life


@pytest.fixture
def backend(life: Life) -> Backend:
    return Backend(life.settings)


def run(
    backend: Backend, instance: dg.DagsterInstance, **selection: Any
) -> tuple[dg.ExecuteInProcessResult, dict[str, Metadata]]:
    """A run of some partitions; what it reported of each, also of those that are not complete."""
    definitions = build_defs(resource_overrides={"backend": backend})
    result = definitions.resolve_job_def("backfill_slots").execute_in_process(
        instance=instance, raise_on_error=False, **selection
    )
    reported: dict[str, Metadata] = {}
    for entry in instance.all_logs(result.run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_materialization:
            reported[event.partition or ""] = event.materialization.metadata
        elif event.event_type is dg.DagsterEventType.ASSET_OBSERVATION:
            reported[event.partition or ""] = (
                event.asset_observation_data.asset_observation.metadata
            )
    return result, reported


def launch(
    backend: Backend, instance: dg.DagsterInstance, key: str
) -> tuple[dg.ExecuteInProcessResult, Metadata]:
    """A run of one partition, and what it reported."""
    instance.add_dynamic_partitions(RANGES_NAME, [key])
    result, reported = run(backend, instance, partition_key=key)
    assert set(reported) <= {key}
    return result, reported.get(key, {})


def ranges(backend: Backend) -> list[tuple[int, int]]:
    with backend.engine(Role.READ).connect() as conn:
        return [(one.first_slot, one.last_slot) for one in health.coverage(conn)]


def tick(backend: Backend, instance: dg.DagsterInstance, cursor: str | None = None) -> Tick:
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"backend": backend}
    )
    made = uncovered_ranges_sensor(context)
    assert isinstance(made, dg.SensorResult | dg.SkipReason)
    return made


def test_partition_covers_its_range_and_reports_counts(
    life: Life, backend: Backend, instance: dg.DagsterInstance
) -> None:
    tip = life.rpc.slot("finalized")
    result, facts = launch(backend, instance, partition_key(0, tip))
    assert result.success
    assert ranges(backend) == [(0, tip)]
    assert facts["Slots covered by this run"].value == tip + 1
    assert (
        facts["New transactions"].value
        == facts["Fetched transactions"].value
        == facts["Listed signatures"].value
    )
    assert isinstance(facts["RPC calls"].value, int)
    assert facts["RPC calls"].value > 6
    assert instance.get_materialized_partitions(ASSET) == {partition_key(0, tip)}
    again, facts = launch(backend, instance, partition_key(0, tip))
    assert again.success
    assert (facts["Slots covered before"].value, facts["Fetched transactions"].value) == (
        tip + 1,
        0,
    )
    assert facts["RPC calls"].value == 1


def test_failed_run_resumes_when_launched_again(
    life: Life, backend: Backend, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zmart_pipelines.ledger.readers.backfill.CHUNK_SIZE", 2)
    tip = life.rpc.slot("finalized")
    original = coverage.record_coverage
    calls = 0

    def dies(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("power cut")
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(coverage, "record_coverage", dies)
        failed, _ = launch(backend, instance, partition_key(0, tip))
    assert not failed.success
    ((first, reached),) = ranges(backend)
    assert (first, reached < tip) == (0, True)
    result, facts = launch(backend, instance, partition_key(0, tip))
    assert result.success
    assert facts["Slots covered before"].value == reached + 1
    assert ranges(backend) == [(0, tip)]


def test_range_beyond_the_finalized_slot_fails_with_the_reason(
    life: Life, backend: Backend, instance: dg.DagsterInstance
) -> None:
    tip = life.rpc.slot("finalized")
    result, facts = launch(backend, instance, partition_key(0, tip + 7))
    assert not result.success
    assert f"only slots up to {tip} are finalized" in str(
        [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    )
    assert facts["Slots covered by this run"].value == tip + 1
    assert instance.get_materialized_partitions(ASSET) == set()


@pytest.mark.parametrize("key", ["", "7", "9-8", "-1-4", "a-b", "0-9999999999999999999", "1-2\n"])
def test_malformed_partition_key_is_refused_with_the_remedy(key: str) -> None:
    with pytest.raises(dg.Failure, match="name it FIRST-LAST"):
        partition_slots(key)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60)), max_size=4),
    st.integers(1, 40),
)
def test_ranges_are_split_at_multiples(spans: list[tuple[int, int]], size: int) -> None:
    holes = [(first, first + length) for first, length in spans]
    cut = coverage.split_ranges(holes, size, limit=10_000)
    assert [s for a, b in cut for s in range(a, b + 1)] == [
        s for a, b in holes for s in range(a, b + 1)
    ]
    assert all(first // size == last // size for first, last in cut)
    assert coverage.split_ranges(holes, size, limit=2) == cut[:2]


def test_sensor_backfills_an_uncovered_range_by_partitions(
    life: Life, backend: Backend, instance: dg.DagsterInstance
) -> None:
    tip = life.rpc.slot("finalized")
    skipped = tick(backend, instance)
    assert isinstance(skipped, dg.SkipReason)
    engine = backend.engine(Role.INGEST)
    with backfill_client(life.settings) as rpc:
        backfill(engine, rpc, life.settings, first_slot=0, last_slot=2)
        backfill(engine, rpc, life.settings, first_slot=20, last_slot=tip)
    assert ranges(backend) == [(0, 2), (20, tip)]
    requested = tick(backend, instance)
    assert isinstance(requested, dg.SensorResult)
    (added,) = requested.dynamic_partitions_requests or []
    assert list(added.partition_keys) == ["3-7", "8-15", "16-19"]
    (request,) = requested.run_requests or []
    assert isinstance(tick(backend, instance, requested.cursor), dg.SkipReason), "requested before"
    instance.add_dynamic_partitions(RANGES_NAME, list(added.partition_keys))
    result, reported = run(backend, instance, tags=request.tags)
    assert result.success
    assert list(reported) == ["3-7", "8-15", "16-19"]
    assert [one["Slots covered by this run"].value for one in reported.values()] == [5, 8, 4]
    assert instance.get_materialized_partitions(ASSET) == set(reported)
    assert ranges(backend) == [(0, tip)]
    assert isinstance(tick(backend, instance, requested.cursor), dg.SkipReason)


def test_incomplete_partition_does_not_hold_up_the_others(
    life: Life, backend: Backend, instance: dg.DagsterInstance
) -> None:
    tip = life.rpc.slot("finalized")
    keys = [partition_key(0, 5), partition_key(6, tip + 3), partition_key(2, 9)]
    instance.add_dynamic_partitions(RANGES_NAME, keys)
    tags = partition_range_tags(keys[0], keys[-1])
    result, reported = run(backend, instance, tags=tags)
    assert not result.success
    assert set(reported) == set(keys)
    assert instance.get_materialized_partitions(ASSET) == {keys[0], keys[2]}
    assert ranges(backend) == [(0, tip)]


KEYS = [partition_key(first, first + 7) for first in range(0, 400, 8)]


@given(st.permutations(KEYS[:6]), st.integers(0, 6), st.integers(0, 5))
def test_run_takes_adjacent_partitions_in_their_order(
    known: list[str], number: int, start: int
) -> None:
    known, wanted = known[:number], KEYS[start:]
    request = backfill_request(wanted, known)
    order = [*known, *(key for key in wanted if key not in known)]
    if request.partition_key is not None:
        assert request.partition_key == wanted[0]
        return
    first = order.index(request.tags[RANGE_START])
    last = order.index(request.tags[RANGE_END])
    selected = order[first : last + 1]
    assert 2 <= len(selected) <= MAX_PARTITIONS
    assert selected == wanted[: len(selected)]


def test_new_uncovered_range_needs_the_fewest_runs() -> None:
    request = backfill_request(KEYS, [])
    assert request.tags[RANGE_START] == KEYS[0]
    assert request.tags[RANGE_END] == KEYS[MAX_PARTITIONS - 1]
