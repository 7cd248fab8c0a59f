"""What the code location declares: every asset whole, the graph, limits, no secrets."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from assets.definitions import build_defs, defs
from zmart_pipelines.store.tables import metadata as tables

GRAPH = {
    "chain/deliveries": [],
    "chain/event_ledger": ["chain/deliveries"],
    "chain/coverage": ["chain/event_ledger"],
    "market/state": ["chain/event_ledger"],
    "market/positions": ["chain/event_ledger"],
    "market/claims": ["chain/event_ledger"],
    "market/trades": ["chain/event_ledger"],
    "voting/proposal_tallies": ["market/state"],
    "voting/dispute_tallies": ["market/positions", "market/state"],
    "submissions/proposal_aggregations": ["market/state", "voting/proposal_tallies"],
    "submissions/proposal_approvals": ["submissions/proposal_aggregations"],
    "submissions/market_finalizations": ["market/state", "voting/dispute_tallies"],
    "reconciliation/report": ["market/positions", "market/state"],
}
SUBMITTING = {"aggregate_votes", "finalize_markets"}


def graph() -> AssetGraph:
    return defs.resolve_asset_graph()


def test_the_graph_is_this_one() -> None:
    found = {
        key.to_user_string(): sorted(
            parent.to_user_string() for parent in graph().get(key).parent_keys
        )
        for key in graph().get_all_asset_keys()
    }
    assert found == GRAPH


@pytest.mark.parametrize("name", GRAPH)
def test_each_asset_says_what_it_is(name: str) -> None:
    key = dg.AssetKey(name.split("/"))
    node = graph().get(key)
    assert node.group_name == name.split("/")[0]
    assert node.owners == ["team:pipelines"]
    assert "postgres" in node.kinds
    assert node.is_materializable
    assert node.description
    assert len(node.description) > 40
    schema = node.metadata["dagster/column_schema"]
    assert isinstance(schema.value, dg.TableSchema)
    table = node.metadata["dagster/table_name"].value
    assert [c.name for c in schema.value.columns] == [c.name for c in tables.tables[table].columns]


def test_jobs_run_in_one_process_and_nothing_retries() -> None:
    for job in defs.resolve_all_job_defs():
        assert job.executor_def.name == "in_process", job.name
        assert not job.has_op_retry_policy if hasattr(job, "has_op_retry_policy") else True
        assert all(node.retry_policy is None for node in job.nodes)


def test_submission_runs_end() -> None:
    limited = {
        job.name for job in defs.resolve_all_job_defs() if job.tags.get("dagster/max_runtime")
    }
    assert limited == SUBMITTING
    for name in SUBMITTING:
        assert defs.resolve_job_def(name).tags["dagster/max_runtime"] == "180"


def test_fast_jobs_carry_no_checks() -> None:
    for name in {"process_deliveries", "read_finalized_window", *SUBMITTING}:
        assert not defs.resolve_job_def(name).asset_layer.executable_asset_keys & set(), name
        assert not defs.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys & set()


def test_sensors_look_on_each_loop_of_the_daemon() -> None:
    for sensor in build_defs().sensors or []:
        assert isinstance(sensor, dg.SensorDefinition)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING, sensor.name
        if not isinstance(sensor, dg.RunStatusSensorDefinition):
            assert sensor.minimum_interval_seconds is not None
            assert 1 <= sensor.minimum_interval_seconds <= 4, sensor.name


def test_every_asset_but_the_previewed_has_a_check() -> None:
    checked = {key.asset_key.to_user_string() for key in graph().asset_check_keys}
    assert checked >= {
        "chain/event_ledger",
        "chain/coverage",
        "market/state",
        "market/positions",
        "voting/proposal_tallies",
        "voting/dispute_tallies",
        "submissions/proposal_aggregations",
        "submissions/proposal_approvals",
        "submissions/market_finalizations",
    }


def test_resources_have_no_configuration() -> None:
    """What has no configuration cannot show a secret in the UI."""
    for name, resource in (build_defs().get_repository_def().get_top_level_resources()).items():
        assert resource.config_schema.as_field().config_type.kind.name in {"ANY", "NONE"} or (
            not resource.config_schema.as_field().is_required
        ), name


def test_a_fresh_interpreter_loads_it_without_the_heavy_parts() -> None:
    """Each run is a new process: what it imports is paid for each time."""
    code = (
        "import json, sys; import assets.definitions;"
        "print(json.dumps([m for m in ('litestar', 'pandas', 'anchorpy') if m in sys.modules]))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
