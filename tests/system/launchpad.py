"""Runs that are launched by hand, as Dagster's launchpad does."""

from __future__ import annotations

from typing import Any, Final

import httpx
import psycopg

from tests.fixtures.running_system import RunningSystem
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


def launch(system: RunningSystem, job: str, config: dict[str, Any] | None = None) -> str:
    """Launch a job as the launchpad does; the run's id."""
    parameters = {
        "selector": {
            "repositoryLocationName": "zmart_pipelines",
            "repositoryName": "__repository__",
            "pipelineName": job,
        },
        "mode": "default",
        "runConfigData": config or {},
        "executionMetadata": {"tags": []},
    }
    answer = httpx.post(
        f"{system.dagster}/graphql",
        json={"query": _LAUNCH, "variables": {"executionParams": parameters}},
        timeout=60,
        trust_env=False,
    ).json()
    launched = answer["data"]["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def run_status(system: RunningSystem, run_id: str) -> str:
    """The status of a run, as Dagster stores it."""
    with psycopg.connect(system.login(Role.DAGSTER)) as conn:
        row = conn.execute(
            "SELECT status FROM dagster.runs WHERE run_id = %s", (run_id,)
        ).fetchone()
    return "" if row is None else str(row[0])
