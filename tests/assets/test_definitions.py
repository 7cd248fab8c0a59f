"""What the code location declares: every asset whole, the graph, limits, no secrets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.asset_specs import materialized_within
from assets.definitions import build_defs, defs
from assets.freshness import CHECK_NAME, limits_of
from assets.run_lanes import LANE_TAG, Lane
from tests.assets.dagster_internals import AssetGraph
from zmart_pipelines.store.tables import metadata as tables

GRAPH = {
    "chain/deliveries": [],
    "chain/backfill": [],
    "chain/event_ledger": ["chain/deliveries"],
    "chain/coverage": ["chain/event_ledger"],
    "chain/quarantine": ["chain/event_ledger"],
    "market/state": ["chain/event_ledger"],
    "market/positions": ["chain/event_ledger"],
    "market/claims": ["chain/event_ledger"],
    "market/trades": ["chain/event_ledger"],
    "market/candles": ["market/trades"],
    "market/market_statistics": ["market/state", "market/trades"],
    "market/wallet_statistics": ["market/positions", "market/state", "market/trades"],
    "market/pool_history": ["market/state", "market/trades"],
    "market/wallet_hours": ["market/claims", "market/positions", "market/state", "market/trades"],
    "market/leaderboards": ["market/wallet_hours"],
    "voting/proposal_tallies": ["market/state"],
    "voting/dispute_tallies": ["market/positions", "market/state"],
    "submissions/proposal_aggregations": ["market/state", "voting/proposal_tallies"],
    "submissions/proposal_approvals": ["submissions/proposal_aggregations"],
    "submissions/market_activations": ["submissions/proposal_approvals"],
    "submissions/market_finalizations": ["market/state", "voting/dispute_tallies"],
    "community/discussion_snapshots": [],
    "backup/database": [],
    "submissions/market_resolutions": [],
    "submissions/relayed_transactions": [],
    "submissions/switches": [],
    "submissions/orders": [],
    "submissions/admin_transactions": [],
    "reconciliation/report": ["market/positions", "market/state"],
    "reconciliation/repairs": ["reconciliation/report"],
}
ROOT = Path(__file__).parents[2]
SUBMITTING = {"aggregate_votes", "finalize_markets", "relay_transactions", "resolve_market"}


def graph() -> AssetGraph:
    return defs.resolve_asset_graph()


def test_asset_graph() -> None:
    found = {
        key.to_user_string(): sorted(
            parent.to_user_string() for parent in graph().get(key).parent_keys
        )
        for key in graph().get_all_asset_keys()
    }
    assert found == GRAPH


@pytest.mark.parametrize("name", GRAPH)
def test_every_asset_is_described(name: str) -> None:
    key = dg.AssetKey(name.split("/"))
    node = graph().get(key)
    assert node.group_name == name.split("/")[0]
    assert node.owners == ["team:pipelines"]
    assert "postgres" in node.kinds
    assert node.is_materializable
    assert node.description
    assert len(node.description) > 40
    schema = node.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    table = tables.tables[node.metadata["dagster/table_name"]]
    assert [column.name for column in schema.columns] == [column.name for column in table.columns]
    undocumented = [column.name for column in schema.columns if not column.description]
    assert undocumented == [], "each column says where its values come from"


def test_every_asset_that_is_made_regularly_has_a_limit_of_age() -> None:
    """The others depend on webhooks, uncovered ranges, damage or operators."""
    nodes = {key.to_user_string(): graph().get(key) for key in graph().get_all_asset_keys()}
    policies = {
        name: node.freshness_policy for name, node in nodes.items() if node.freshness_policy
    }
    assert policies == {
        "chain/coverage": materialized_within(warn=3, fail=10),
        "reconciliation/report": materialized_within(warn=15, fail=30),
    }, "only what every run changes: Dagster counts materializations only"
    verified = {name for name, node in nodes.items() if limits_of(node.metadata)}
    assert set(nodes) - set(policies) - verified == {
        "chain/deliveries",
        "chain/backfill",
        "chain/quarantine",
        "community/discussion_snapshots",
        "backup/database",
        "reconciliation/repairs",
        "submissions/market_resolutions",
        "submissions/relayed_transactions",
        "submissions/switches",
        "submissions/orders",
        "submissions/admin_transactions",
    }
    checked = {
        key.asset_key.to_user_string() for key in graph().asset_check_keys if key.name == CHECK_NAME
    }
    assert checked == verified


def test_jobs_run_in_one_process_and_nothing_retries() -> None:
    for job in defs.resolve_all_job_defs():
        assert job.executor_def.name == "in_process", job.name
        for node in job.nodes:
            assert isinstance(node.definition, dg.OpDefinition)
            assert node.retry_policy is None
            assert node.definition.retry_policy is None, node.name


def test_submission_runs_have_a_time_limit() -> None:
    limited = {
        job.name for job in defs.resolve_all_job_defs() if job.tags.get("dagster/max_runtime")
    }
    assert limited == SUBMITTING | {"backfill_slots", "carry_out_order"}
    for name in SUBMITTING:
        assert defs.resolve_job_def(name).tags["dagster/max_runtime"] == "180"


def test_every_job_names_its_lane_of_the_run_queue() -> None:
    """A run without a lane would wait behind the background work."""
    lanes = {
        job.name: job.tags.get(LANE_TAG)
        for job in defs.resolve_all_job_defs()
        if not job.name.startswith("__")
    }
    assert {name for name, lane in lanes.items() if lane == Lane.CHAIN} == {
        "aggregate_votes",
        "finalize_markets",
        "relay_transactions",
    }
    assert {name for name, lane in lanes.items() if lane == Lane.OPERATORS} == {
        "resolve_market",
        "switch_submissions",
        "carry_out_order",
        "prepare_admin_transaction",
    }
    assert {name for name, lane in lanes.items() if lane == Lane.BULK} == {
        "backfill_slots",
        "rebuild_projection",
    }
    assert {name for name, lane in lanes.items() if lane is None} == {"clean_up"}


def test_reconcile_runs_every_check_and_the_window_the_cheap_ones() -> None:
    """A fast run must not wait for the checks, nor a check fail what repairs its table."""
    checking = {
        job.name: job.asset_layer.asset_graph.asset_check_keys
        for job in defs.resolve_all_job_defs()
        if job.asset_layer.asset_graph.asset_check_keys and not job.name.startswith("__")
    }
    assert set(checking) == {"reconcile", "read_finalized_window", "snapshot_discussions"}
    assert checking["reconcile"] == graph().asset_check_keys
    assert {key.name for key in checking["read_finalized_window"]} == {
        "coverage_has_no_gaps",
        "quarantine_within_deadline",
        "rpc_breakers_closed",
        "latency_within_limit",
    }


def test_sensors_tick_as_promptly_as_their_work_needs() -> None:
    """A prompt sensor ticks on each loop of the daemon, which is five seconds long."""
    prompt = {"confirmed_poll_sensor", "submission_sensor", "relay_sensor", "order_sensor"}
    later = {
        "delivery_sensor",
        "uncovered_ranges_sensor",
        "external_writes_sensor",
        "monitor_sensor",
    }
    for sensor in build_defs().sensors or []:
        assert isinstance(sensor, dg.SensorDefinition)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING, sensor.name
        if not isinstance(sensor, dg.RunStatusSensorDefinition):
            interval = sensor.minimum_interval_seconds
            assert interval is not None
            if sensor.name in prompt:
                assert 1 <= interval <= 4, sensor.name
            else:
                assert interval == (30 if sensor.name in later else 15), sensor.name


def test_derived_tables_have_checks() -> None:
    checked = {key.asset_key.to_user_string() for key in graph().asset_check_keys}
    assert checked >= {
        "chain/event_ledger",
        "chain/coverage",
        "market/state",
        "market/positions",
        "market/candles",
        "market/leaderboards",
        "voting/proposal_tallies",
        "voting/dispute_tallies",
        "submissions/proposal_aggregations",
        "submissions/proposal_approvals",
        "submissions/market_finalizations",
    }


@pytest.mark.process
def test_no_definition_contains_a_secret() -> None:
    """Everything the UI can show of the code location, made with secrets in the environment."""
    code = (
        "from assets.definitions import defs;"
        "from tests.assets.dagster_internals import RepositorySnap;"
        "from dagster import serialize_value;"
        "from assets.resources import Backend;"
        "backend = defs.resources['backend']; assert isinstance(backend, Backend);"
        "assert 'geheim' in backend.settings.database_url_read.get_secret_value();"
        "print(serialize_value(RepositorySnap.from_def(defs.get_repository_def())))"
    )
    secrets = {
        "DATABASE_URL_READ": "postgresql://user:geheim@127.0.0.1/x",
        "BACKEND_AUTHORITY_PRIVATE_KEY": "geheim",
        "PINATA_JWT": "geheim",
        "SOLANA_RPC_URL": "https://rpc.example.com/?api-key=geheim",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env={**os.environ, **secrets},
    )
    assert "submissions" in done.stdout
    assert "geheim" not in done.stdout


@pytest.mark.process
def test_definitions_load_without_heavy_imports() -> None:
    """Each run is a new process: what it imports is paid for each time."""
    code = (
        "import json, sys; import assets.definitions;"
        "print(json.dumps([m for m in ('litestar', 'pandas', 'anchorpy') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
