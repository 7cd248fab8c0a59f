"""The reconciliation report, and what becomes of a market that differs."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from assets.definitions import build_defs
from assets.reconciliation_report import summary
from assets.resources import Backend
from tests.assets.life import Life
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines.ledger.audit.difference_records import ClassifiedDifference, DifferenceClass
from zmart_pipelines.ledger.audit.reconcile import ReconciliationReport
from zmart_pipelines.ledger.model.account_comparison import FieldDifference
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import health


@pytest.fixture
def life(start_localnet: StartLocalnet, database: str) -> Life:
    return Life.start(start_localnet("--finality-depth", "4"), database)


@pytest.fixture
def backend(life: Life) -> Backend:
    return Backend(life.settings)


def execute(
    job: str, backend: Backend, config: Mapping[str, Any] | None = None
) -> tuple[dict[str, Mapping[str, dg.MetadataValue]], dict[str, dg.AssetCheckEvaluation]]:
    """The materializations and checks of one run."""
    definitions = build_defs(resource_overrides={"backend": backend})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance, run_config=config
        )
    made = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key is not None
    }
    checks = {
        f"{one.asset_key.to_user_string()}:{one.check_name}": one
        for one in result.get_asset_check_evaluations()
    }
    return made, checks


def test_difference_is_repaired_in_the_run_that_finds_it(
    life: Life, backend: Backend, owner: Engine
) -> None:
    market = life.propose()
    other = life.propose()
    life.chain.control.finalize()
    execute("read_finalized_window", backend)
    with owner.begin() as conn:
        conn.execute(
            text("UPDATE market.markets SET total_volume = total_volume + 3 WHERE market_id = :id"),
            {"id": market},
        )
    made, checks = execute("reconcile", backend)
    report = made["reconciliation/report"]
    assert report["Actionable differences"].value == 1
    diff = str(report["Report"].value)
    assert "| market | total_volume | 3 | 0 | -3 | missing_event | 1 |" in diff
    assert market.hex() in diff
    assert other.hex() not in diff
    assert "data:image/png;base64," in str(report["Differences, last day"].value)
    repairs = made["reconciliation/repairs"]
    assert repairs["Markets read again"].value == 1
    assert repairs["Markets repaired"].value == 1
    assert repairs["Markets still different"].value == 0
    # The checks judge what is left after the repair.
    assert checks["market/state:matches_onchain_accounts"].passed
    made, _ = execute("reconcile", backend)
    assert made["reconciliation/report"]["Comparisons, last day"].value == 3
    assert "reconciliation/repairs" not in made, "nothing was repaired: an observation"
    assert "total_volume" in str(made["reconciliation/report"]["Resolved differences"].value)


def test_difference_that_reading_cannot_repair_keeps_failing(
    life: Life, backend: Backend, owner: Engine
) -> None:
    """An account that nothing in the ledger explains: here the ledger's event is false."""
    life.propose()
    life.chain.control.finalize()
    execute("read_finalized_window", backend)
    with owner.begin() as conn:
        conn.execute(text("ALTER TABLE chain.events DISABLE TRIGGER USER"))
        conn.execute(
            text(
                "UPDATE chain.events SET instruction = set_byte(instruction, 48,"
                " get_byte(instruction, 48) + 1) WHERE name = 'MarketCreated'"
            )
        )
    execute("rebuild_projection", backend)
    made, checks = execute("reconcile", backend)
    assert made["reconciliation/repairs"]["Markets still different"].value == 1
    assert not checks["market/state:matches_onchain_accounts"].passed
    with backend.engine(Role.READ).connect() as conn:
        assert {one.class_ for one in health.differences(conn)} == {"drift"}


def test_market_named_in_the_config_is_read_again(life: Life, backend: Backend) -> None:
    market = life.propose()
    life.chain.control.finalize()
    config = {"ops": {"reconciliation": {"config": {"markets": [market.hex()]}}}}
    made, _ = execute("repair_markets", backend, config)
    repairs = made["reconciliation/repairs"]
    assert repairs["Markets read again"].value == 1
    assert repairs["New transactions"].value == 1
    assert repairs["Markets still different"].value == 0


def test_summary_is_short_and_lists_actionable_differences_first() -> None:
    def drift(
        number: int, field: str, class_: DifferenceClass, user: bytes | None = None
    ) -> ClassifiedDifference:
        found = FieldDifference(number.to_bytes(32, "big"), user, field, "5", str(5 + number))
        return ClassifiedDifference(found, class_, 90, 1)

    many = [drift(number, "total_volume", "lag") for number in range(40)]
    odd = ClassifiedDifference(
        FieldDifference(bytes(32), None, "account", "present", None), "drift", 90, 4
    )
    report = ReconciliationReport(90, 91, 80, 41, 7, (*many, odd))
    text_ = summary(report, {bytes(32): "Will | it?"})
    lines = text_.splitlines()
    assert "**1 actionable** of 41" in lines[0]
    assert lines[2].startswith("**Will / it?**")
    assert lines[6] == "| market | account | present | None |  | drift | 4 |"
    assert "and 21 more" in text_
    assert sum(line.startswith("| market |") for line in lines) == 20
    assert "| market | total_volume | 5 | 6 | +1 | lag | 1 |" in lines
    assert [line.split(":")[0] for line in lines if line.startswith("- ")] == ["- drift", "- lag"]
