"""The clean-up deletes what is old and nothing else."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, insert, select

from assets.definitions import build_defs
from assets.defs.maintenance import clean_up, delete_runs
from assets.resources import Backend
from tests.assets.dagster_internals import create_run_for_test
from tests.assets.rows import market_id
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.community import market_drafts

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=1)


def run(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus) -> str:
    """A run as the code location's job makes it, with the job's tags."""
    tags = build_defs().resolve_job_def(job).tags
    made: dg.DagsterRun = create_run_for_test(instance, job_name=job, status=status, tags=tags)
    return made.run_id


def test_only_finished_runs_that_submitted_nothing_are_deleted() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        gone = {
            run(instance, "read_finalized_window", dg.DagsterRunStatus.SUCCESS),
            run(instance, "reconcile", dg.DagsterRunStatus.FAILURE),
            run(instance, "clean_up", dg.DagsterRunStatus.CANCELED),
        }
        kept = {
            run(instance, "read_finalized_window", dg.DagsterRunStatus.STARTED),
            run(instance, "aggregate_votes", dg.DagsterRunStatus.SUCCESS),
            run(instance, "finalize_markets", dg.DagsterRunStatus.FAILURE),
            run(instance, "resolve_market", dg.DagsterRunStatus.SUCCESS),
        }
        assert delete_runs(instance, NOW - timedelta(days=1)) == 0
        assert delete_runs(instance, LATER) == len(gone)
        assert {found.run_id for found in instance.get_runs()} == kept


def test_many_pages_are_deleted_in_one_night(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.defs.maintenance._PAGE", 2)
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(7):
            run(instance, "reconcile", dg.DagsterRunStatus.SUCCESS)
        assert delete_runs(instance, LATER) == 7


def test_the_job_deletes_expired_drafts_that_never_became_markets(
    database: str, owner: Engine
) -> None:
    def draft(expires: timedelta, matched: bool) -> bytes:
        market = market_id()
        row = {
            "market_id": market,
            "creator": bytes(32),
            "nonce": market,
            "question_hash": "Qm",
            "document": b"{}",
            "question": "Will it rain tomorrow?",
            "category": "other",
            "ends_at": NOW,
            "expires_at": NOW + expires,
            "matched_at": NOW if matched else None,
        }
        with owner.begin() as conn:
            conn.execute(insert(market_drafts).values(row))
        return market

    draft(timedelta(hours=-1), matched=False)
    kept = {
        draft(timedelta(hours=-1), matched=True),
        draft(timedelta(hours=1), matched=False),
    }
    backend = Backend(Settings(database_url=database))
    with dg.DagsterInstance.ephemeral() as instance:
        result = clean_up.execute_in_process(instance=instance, resources={"backend": backend})
    assert result.success
    with owner.connect() as conn:
        assert set(conn.execute(select(market_drafts.c.market_id)).scalars()) == kept
