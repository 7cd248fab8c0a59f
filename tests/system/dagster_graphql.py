"""Dagster's GraphQL, as its UI uses it: what assets and runs left, and schedules switched off."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec

from tests.fixtures.running_system import RunningSystem

REPOSITORY: Final = {
    "repositoryLocationName": "zmart_pipelines",
    "repositoryName": "__repository__",
}
_ENDED: Final = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_ENTRIES: Final = """
metadataEntries {
  label
  ... on IntMetadataEntry { intValue }
  ... on FloatMetadataEntry { floatValue }
  ... on BoolMetadataEntry { boolValue }
  ... on TextMetadataEntry { text }
  ... on TableMetadataEntry { table { records } }
}
"""
_ASSET: Final = """
query Asset($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      description
      assetMaterializations(limit: 100) { partition runId ENTRIES }
      assetChecksOrError {
        ... on AssetChecks { checks { name executionForLatestMaterialization { status } } }
      }
    }
  }
}
""".replace("ENTRIES", _ENTRIES)
_OUTPUTS: Final = """
query Outputs($run: ID!) {
  runOrError(runId: $run) {
    ... on Run {
      eventConnection { events { ... on ExecutionStepOutputEvent { stepKey ENTRIES } } }
    }
  }
}
""".replace("ENTRIES", _ENTRIES)
_RUN: Final = "query Run($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
_SCHEDULE: Final = """
query Schedule($selector: ScheduleSelector!) {
  scheduleOrError(scheduleSelector: $selector) { ... on Schedule { scheduleState { id } } }
}
"""
_STOP: Final = """
mutation Stop($id: String!) {
  stopRunningSchedule(id: $id) {
    ... on ScheduleStateResult { scheduleState { status } }
    ... on PythonError { message }
  }
}
"""


class Materialization(msgspec.Struct, frozen=True):
    """An event of an asset; ``metadata`` by label, with a table as the list of its rows."""

    partition: str | None
    run_id: str
    metadata: Mapping[str, Any]


class Asset(msgspec.Struct, frozen=True):
    """What Dagster shows of an asset.

    Attributes:
        materializations: The newest first.
        checks: The status of the last execution of each.
    """

    description: str
    materializations: list[Materialization]
    checks: Mapping[str, str]


def graphql(system: RunningSystem, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
    """Return the data of the answer; an error fails the test."""
    answer = httpx.post(
        f"{system.dagster}/graphql",
        json={"query": query, "variables": variables},
        timeout=60,
        trust_env=False,
    ).json()
    assert "errors" not in answer, answer["errors"]
    data: dict[str, Any] = answer["data"]
    return data


def asset(system: RunningSystem, key: str) -> Asset:
    """Read an asset by its key, ``group/name``."""
    data = graphql(system, _ASSET, {"key": {"path": key.split("/")}})
    node = data["assetNodeOrError"]
    return Asset(
        node["description"],
        [
            Materialization(one["partition"], one["runId"], _values(one["metadataEntries"]))
            for one in node["assetMaterializations"]
        ],
        {
            one["name"]: (one["executionForLatestMaterialization"] or {}).get("status", "")
            for one in node["assetChecksOrError"]["checks"]
        },
    )


def outputs(system: RunningSystem, run_id: str) -> dict[str, Mapping[str, Any]]:
    """Return the metadata of a run's outputs by their steps."""
    data = graphql(system, _OUTPUTS, {"run": run_id})
    events = data["runOrError"]["eventConnection"]["events"]
    return {one["stepKey"]: _values(one["metadataEntries"]) for one in events if one}


def _values(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["label"]: _value(one) for one in entries}


def _value(entry: dict[str, Any]) -> Any:
    for name in ("intValue", "floatValue", "boolValue", "text"):
        if name in entry:
            return entry[name]
    records = entry["table"]["records"] if "table" in entry else []
    return [msgspec.json.decode(record) for record in records]


def await_run(system: RunningSystem, run_id: str, seconds: float) -> str:
    """Wait until a run has ended; its status."""
    deadline = time.monotonic() + seconds
    while True:
        status = str(graphql(system, _RUN, {"run": run_id})["runOrError"]["status"])
        if status in _ENDED:
            return status
        assert time.monotonic() < deadline, f"run {run_id} is {status}"
        time.sleep(0.5)


def stop_schedule(system: RunningSystem, name: str) -> None:
    """Switch a schedule off, as on Dagster's page of schedules."""
    selector = {**REPOSITORY, "scheduleName": name}
    found = graphql(system, _SCHEDULE, {"selector": selector})
    state = found["scheduleOrError"]["scheduleState"]["id"]
    answer = graphql(system, _STOP, {"id": state})["stopRunningSchedule"]
    assert answer["scheduleState"]["status"] == "STOPPED", answer
