"""Snapshots through Dagster: the nightly run, days that were missed, files that fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from assets.definitions import build_defs
from assets.defs import discussion_snapshots as module
from assets.resources import Backend
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.snapshots.taking import end_of
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import discussion_snapshots as rows

JOB = "snapshot_discussions"
KEY = dg.AssetKey(["community", "discussion_snapshots"])
MARKET, WALLET = bytes([7]) * 32, bytes([8]) * 32
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture
def backend(database: str, tmp_path: Path) -> Backend:
    return Backend(Settings(**login_settings(database), zmart_state=tmp_path / "state"))


def comment(owner: Engine, *, days_ago: int) -> None:
    """A comment of noon, so many days before yesterday."""
    moment = end_of(YESTERDAY) - timedelta(days=days_ago, hours=12)
    values = {"m": MARKET, "w": WALLET, "t": moment}
    with owner.begin() as conn:
        conn.execute(
            text("INSERT INTO community.users (wallet) VALUES (:w) ON CONFLICT DO NOTHING"),
            {"w": WALLET},
        )
        conn.execute(
            text(
                "INSERT INTO community.discussions (market_id, wallet, content, created_at)"
                " VALUES (:m, :w, 'hello', :t)"
            ),
            values,
        )


def run(backend: Backend, instance: dg.DagsterInstance, day: str) -> dg.ExecuteInProcessResult:
    job = build_defs(resource_overrides={"backend": backend}).resolve_job_def(JOB)
    return job.execute_in_process(partition_key=day, instance=instance)


def tick(backend: Backend, instance: dg.DagsterInstance, at: datetime) -> Any:
    schedule = build_defs().resolve_schedule_def(f"{JOB}_schedule")
    context = dg.build_schedule_context(
        instance=instance, resources={"backend": backend}, scheduled_execution_time=at
    )
    return schedule(context)


def test_midnight_requests_the_day_that_ended(
    backend: Backend, stored_instance: dg.DagsterInstance, owner: Engine
) -> None:
    midnight = end_of(YESTERDAY)
    assert isinstance(tick(backend, stored_instance, midnight), dg.SkipReason)
    comment(owner, days_ago=2)
    comment(owner, days_ago=0)
    requested = tick(backend, stored_instance, midnight)
    assert isinstance(requested, dg.RunRequest)
    assert requested.partition_key == YESTERDAY.isoformat()
    done = run(backend, stored_instance, YESTERDAY.isoformat())
    (event,) = done.asset_materializations_for_node("discussion_snapshots")
    assert event.metadata["Markets"].value == 1
    assert event.metadata["Comments"].value == 2, "days that were missed are in it"
    assert event.metadata["Files pinned"].value == 1
    evaluations = done.get_asset_check_evaluations()
    assert {one.check_name: one.passed for one in evaluations} == {
        "snapshots_are_whole": True,
        "snapshots_can_be_read": True,
    }
    later = midnight + timedelta(hours=3)
    assert isinstance(tick(backend, stored_instance, later), dg.SkipReason), "nothing is left to do"


def test_materializing_a_day_again_is_an_observation(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    comment(owner, days_ago=0)
    run(backend, instance, YESTERDAY.isoformat())
    again = run(backend, instance, YESTERDAY.isoformat())
    assert again.asset_materializations_for_node("discussion_snapshots") == []
    assert len(again.asset_observations_for_node("discussion_snapshots")) == 1


def test_lost_and_changed_files_fail_the_checks(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    comment(owner, days_ago=0)
    run(backend, instance, YESTERDAY.isoformat())
    with backend.engine(Role.READ).connect() as conn:
        (stored,) = rows.stored_documents(conn)
    LocalPinStore(backend.settings.zmart_state / "ipfs").unpin(stored.cid)
    read = module.snapshots_can_be_read(backend)
    assert isinstance(read, dg.AssetCheckResult)
    assert not read.passed
    with owner.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE community.ipfs_anchors DISABLE TRIGGER guard")
        conn.execute(
            text("UPDATE community.ipfs_anchors SET document = :d"),
            {"d": stored.document.replace(b"hello", b"jello")},
        )
    whole = module.snapshots_are_whole(backend)
    assert isinstance(whole, dg.AssetCheckResult)
    assert not whole.passed
