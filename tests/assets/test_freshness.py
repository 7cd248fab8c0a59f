"""Freshness counts observations, and a run that changed nothing does not hide the last change."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.freshness import (
    CHECK_NAME,
    VerifiedWithin,
    evaluate_freshness,
    freshness_checks,
    last_verified,
    limits_of,
)
from tests.assets.dagster_internals import create_run_for_test
from zmart_pipelines.store.tables import market

KEY = dg.AssetKey(["market", "state"])
LIMITS = VerifiedWithin(warn=10, fail=20)
SPEC = asset_spec(
    "market/state", table=market.markets, description="x", freshness=LIMITS, skippable=True
)


def materialize(instance: dg.DagsterInstance, *, changed: bool) -> dg.ExecuteInProcessResult:
    @dg.multi_asset(name="step", specs=[SPEC])
    def step(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        result = dg.MaterializeResult[None](asset_key=KEY, metadata={"Rows": 3})
        yield from record_result(context, result, changed=changed)

    return dg.materialize([step], instance=instance)


def test_a_run_that_changed_nothing_records_an_observation(instance: dg.DagsterInstance) -> None:
    assert materialize(instance, changed=True).success
    last = instance.get_latest_materialization_event(KEY)
    assert last is not None
    assert materialize(instance, changed=False).success
    again = instance.get_latest_materialization_event(KEY)
    assert again is not None
    assert again.run_id == last.run_id, "the last change is still the newest materialization"
    (observed,) = instance.fetch_observations(KEY, limit=5).records
    assert observed.run_id != last.run_id
    assert observed.asset_observation is not None
    assert observed.asset_observation.metadata["Rows"].value == 3
    assert last_verified(instance, KEY) == observed.timestamp


def test_limits_are_read_back_from_the_metadata() -> None:
    assert limits_of(SPEC.metadata) == LIMITS
    assert limits_of({}) is None
    assert SPEC.freshness_policy is None


@pytest.mark.parametrize("event", [dg.AssetMaterialization, dg.AssetObservation])
def test_the_age_decides(
    instance: dg.DagsterInstance, event: type[dg.AssetMaterialization | dg.AssetObservation]
) -> None:
    instance.report_runless_asset_event(event(KEY))
    at = last_verified(instance, KEY)
    assert at is not None

    def verdict(minutes: float) -> tuple[bool, dg.AssetCheckSeverity]:
        result = evaluate_freshness(instance, KEY, LIMITS, at + minutes * 60)
        return bool(result.passed), result.severity

    assert verdict(0)[0]
    assert verdict(9.9)[0]
    assert verdict(10) == (False, dg.AssetCheckSeverity.WARN)
    assert verdict(19.9) == (False, dg.AssetCheckSeverity.WARN)
    assert verdict(20) == (False, dg.AssetCheckSeverity.ERROR)
    assert verdict(-5)[0], "a clock set back"


def test_an_asset_never_verified_is_measured_from_the_oldest_run(
    instance: dg.DagsterInstance,
) -> None:
    now = datetime.now(UTC).timestamp()
    assert evaluate_freshness(instance, KEY, LIMITS, now).passed, "nothing has run yet"
    create_run_for_test(instance, job_name="reconcile")
    (record,) = instance.get_run_records()
    started = record.create_timestamp.timestamp()
    assert evaluate_freshness(instance, KEY, LIMITS, started + 60).passed
    late = evaluate_freshness(instance, KEY, LIMITS, started + 1200)
    assert not late.passed
    assert late.severity is dg.AssetCheckSeverity.ERROR
    assert (late.description or "").startswith("never verified")


def test_the_check_reads_the_event_log_of_its_instance(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetObservation(KEY))
    check = freshness_checks([SPEC])
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(assets=[SPEC], asset_checks=[check], jobs=[job])
    result = definitions.resolve_job_def("checks").execute_in_process(instance=instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.asset_key) == (CHECK_NAME, KEY)
    assert evaluation.passed
