"""Runs that are launched by hand, as Dagster's launchpad does."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from tests.fixtures.running_system import RunningSystem
from tests.system.dagster_graphql import REPOSITORY, graphql
from zmart_pipelines.store.engine import Role

_LAUNCH: Final = """
mutation LaunchpadExecution($executionParams: ExecutionParams!) {
  launchPipelineExecution(executionParams: $executionParams) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


def launch(
    system: RunningSystem,
    job: str,
    config: dict[str, Any] | None = None,
    *,
    partition: str | None = None,
) -> str:
    """Launch a job as the launchpad does, of one partition if it has any; the run's id."""
    tags = [] if partition is None else [{"key": "dagster/partition", "value": partition}]
    parameters = {
        "selector": {**REPOSITORY, "pipelineName": job},
        "mode": "default",
        "runConfigData": config or {},
        "executionMetadata": {"tags": tags},
    }
    data = graphql(system, _LAUNCH, {"executionParams": parameters})
    launched = data["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def run_status(system: RunningSystem, run_id: str) -> str:
    """The status of a run, as Dagster stores it."""
    with psycopg.connect(system.login(Role.DAGSTER)) as conn:
        row = conn.execute(
            "SELECT status FROM dagster.runs WHERE run_id = %s", (run_id,)
        ).fetchone()
    return "" if row is None else str(row[0])
