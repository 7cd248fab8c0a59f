"""Private names of Dagster stand in few files, and an update of Dagster is noticed."""

import inspect
import re
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest
from dagster_postgres import DagsterPostgresStorage

from assets import dagster_internals

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "assets/dagster_internals.py",
    "tests/assets/dagster_internals.py",
}
# Modules and attributes with a leading underscore, and the packages behind Dagster's public ones.
PRIVATE = re.compile(
    r"\b(from|import)\s+(dagster\._|dagster_shared|dagster_postgres\.|dagster_webserver)"
    r"|import_module\(\"dagster_"
    r"|\bdagster\._\w+|\b(instance|storage)\._[a-z]\w*|\b_(mp_ctx|instance)\b"
)


def test_private_names_are_used_in_these_files_only() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("assets", "zmart_pipelines", "api", "demo", "localnet", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if PRIVATE.search(path.read_text())
    }
    assert found - {Path(__file__).relative_to(ROOT).as_posix()} == ALLOWED


@pytest.mark.parametrize(
    "line",
    [
        "from dagster._core.storage.tags import X",
        "import dagster._core",
        "from dagster_shared.error import X",
        "from dagster_postgres.utils import X",
        "from dagster_webserver.app import X",
        'import_module("dagster_webserver.cli")',
        "instance._report_runless_asset_event(x)",
        "storage._engine = x",
        "server._mp_ctx = x",
        "self._instance.add_run_tags(x)",
    ],
)
def test_the_search_finds_private_names(line: str) -> None:
    assert PRIVATE.search(line)


@pytest.mark.parametrize(
    "line", ["import dagster as dg", "from dagster_postgres import X", "context.dagster_run"]
)
def test_the_search_accepts_public_names(line: str) -> None:
    assert PRIVATE.search(line) is None


def test_an_update_of_dagster_is_noticed() -> None:
    """After an update: run the tests of ``assets``, then raise ``CHECKED_WITH``."""
    assert version("dagster") == dagster_internals.CHECKED_WITH


def test_every_storage_has_the_attribute_that_is_replaced() -> None:
    """``use_engine`` would otherwise set an attribute that nothing reads."""
    for name in ("run_storage", "event_log_storage", "schedule_storage"):
        assert isinstance(getattr(DagsterPostgresStorage, name), property)
    for module, name in (
        ("run_storage.run_storage", "PostgresRunStorage"),
        ("event_log.event_log", "PostgresEventLogStorage"),
        ("schedule_storage.schedule_storage", "PostgresScheduleStorage"),
    ):
        storage = getattr(__import__(f"dagster_postgres.{module}", fromlist=[name]), name)
        assert "_engine" in inspect.getsource(storage)


def test_reported_tags_are_read_back_as_a_data_version() -> None:
    """Dagster reads the version of a reported materialization from these tags."""
    key = dg.AssetKey(["market", "state"])
    tags = dagster_internals.version_tags("7", {"chain/event_ledger": "6"})
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
        event = instance.get_latest_materialization_event(key)
    assert event is not None
    stored = event.asset_materialization
    assert stored is not None
    assert stored.tags is not None
    assert stored.tags["dagster/data_version"] == "7"
    assert stored.tags["dagster/input_data_version/chain/event_ledger"] == "6"


def test_dagster_still_starts_workers_through_the_replaced_attribute() -> None:
    assert "_mp_ctx" in dagster_internals.DagsterApiServer.__init__.__code__.co_names
    assert "_mp_ctx" in dagster_internals.DagsterApiServer.StartRun.__code__.co_names
