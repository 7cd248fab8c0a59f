"""Every job that a person launches to act leaves a row in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg
import pytest
from sqlalchemy import Engine

from assets.definitions import build_defs, defs
from assets.defs.backfill import RANGES_NAME
from assets.launches import is_launched_by_person, launched_by
from assets.resources import Backend
from tests.assets.life import Life
from tests.fixtures.localnet import Localnet
from tests.operations.world import acts
from zmart_pipelines.store.audit import DagsterActor

# What each job is recorded as. resolve_market is launched in test_operators, and carry_out_order in
# test_orders: the act that was ordered is recorded.
AUDITED: Final[Mapping[str, str]] = {
    "switch_submissions": "switch",
    "prepare_admin_transaction": "prepare_admin_transaction",
    "redecode_quarantined": "redecode",
    "rebuild_projection": "rebuild",
    "repair_markets": "repair",
    "backfill_slots": "backfill",
    "resolve_market": "resolve_market",
    "carry_out_order": "switch",
}
NOT_AUDITED: Final[Mapping[str, str]] = {
    "process_deliveries": "finishes what the sensor finds unfinished",
    "read_finalized_window": "a schedule does it every minute",
    "refresh_statistics": "a schedule does it every minute",
    "aggregate_votes": "decides by the rules alone, and a schedule does it every five minutes",
    "finalize_markets": "decides by the rules alone, and a schedule does it every five minutes",
    "reconcile": "a schedule does it every ten minutes",
    "relay_transactions": "sends on what wallets signed, and a sensor starts it",
    "snapshot_discussions": "publishes what is public already, and a schedule does it daily",
    "back_up": "only reads, and a schedule does it daily",
    "clean_up": "deletes by the settings' retention alone, and a schedule does it daily",
}


def test_every_job_is_audited_or_has_a_reason() -> None:
    jobs = {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    assert set(AUDITED).isdisjoint(NOT_AUDITED)
    assert jobs == {*AUDITED, *NOT_AUDITED}


@pytest.fixture
def life(localnet: Localnet, database: str) -> Life:
    return Life.start(localnet, database, wallets=2)


def launched(backend: Backend, job: str, config: dict[str, Any], **more: Any) -> str:
    """Execute a run as the launchpad starts it; return its id."""
    definitions = build_defs(resource_overrides={"backend": backend})
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(RANGES_NAME, ["0-3"])
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance, run_config={"ops": config}, raise_on_error=False, **more
        )
    return result.run_id


def test_acts_from_the_launchpad_are_recorded(life: Life, owner: Engine) -> None:
    backend = Backend(life.settings)
    market = life.propose().hex()
    life.chain.control.finalize()
    off = {"action": "all", "enabled": False, "reason": "a drill"}
    runs: list[tuple[str, dict[str, Any], dict[str, Any], str | None]] = [
        ("switch_submissions", {"switches": {"config": off}}, {}, "all"),
        (
            "prepare_admin_transaction",
            {"admin_transactions": {"config": {"transaction": "pause"}}},
            {},
            None,
        ),
        ("redecode_quarantined", {}, {}, None),
        ("rebuild_projection", {}, {}, None),
        ("repair_markets", {"reconciliation": {"config": {"markets": [market]}}}, {}, None),
        ("backfill_slots", {}, {"partition_key": "0-3"}, "0-3"),
    ]
    for job, config, more, subject in runs:
        before = len(acts(owner))
        run_id = launched(backend, job, config, **more)
        (act,) = acts(owner)[before:]
        assert (act.action, act.entry_point, act.subject) == (AUDITED[job], "dagster", subject), job
        assert (act.dagster_user, act.details["run_id"]) == ("launchpad", run_id), job
        assert act.details["job"] == job
    assert acts(owner)[0].reason == "a drill"
    # What is only shown, and what a sensor starts, is no act.
    before = len(acts(owner))
    launched(backend, "switch_submissions", {})
    automatic = {"dagster/sensor_name": "uncovered_ranges_sensor"}
    launched(backend, "backfill_slots", {}, partition_key="0-3", tags=automatic)
    assert len(acts(owner)) == before


def test_who_launched_a_run() -> None:
    by_hand = dg.DagsterRun(job_name="backfill_slots")
    assert is_launched_by_person(by_hand)
    assert launched_by(by_hand).actor == DagsterActor("launchpad")
    named = dg.DagsterRun(job_name="backfill_slots", tags={"user": "ada@example.com"})
    assert launched_by(named).actor == DagsterActor("ada@example.com")
    for tag in ("dagster/sensor_name", "dagster/schedule_name"):
        assert not is_launched_by_person(dg.DagsterRun(job_name="x", tags={tag: "y"}))
