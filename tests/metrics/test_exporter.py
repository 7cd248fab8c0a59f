"""The exporter measures database, chain and machine, and says which of them it cannot read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from zmart_pipelines.metrics import exporter as exporter_module
from zmart_pipelines.metrics.database_section import STATES
from zmart_pipelines.metrics.exporter import Exporter
from zmart_pipelines.metrics.listener import serve_metrics
from zmart_pipelines.runtime.leftover_processes import PidFile
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role

Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    """Settings on a fresh database; neither a chain nor Dagster answers."""
    return Settings(
        **login_settings(database),
        zmart_state=tmp_path,
        solana_rpc_url=f"http://127.0.0.1:{unused_port()}",
        dagster_port=unused_port(),
        metrics_port=unused_port(),
    )


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()


def scraped(exporter: Exporter) -> Samples:
    registry = CollectorRegistry()
    registry.register(exporter)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def add_rows(owner: Engine) -> None:
    with owner.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO ops.alerts (topic, subject, severity, message) VALUES"
                " ('service', 'one', 'high', ''), ('service', 'two', 'high', ''),"
                " ('check', 'three', 'medium', '')"
            )
        )
        conn.execute(
            text(
                "INSERT INTO ops.breakers (name, state, generation, opened_at, wait_until) VALUES"
                " ('rpc:one', 'open', 1, now() - interval '400 seconds', now())"
            )
        )
        conn.execute(
            text(
                "INSERT INTO ops.intents (market_id, action, arguments, status) VALUES"
                r" ('\x01', 'finalize_market', '{}', 'final'),"
                r" ('\x02', 'finalize_market', '{}', 'failed'),"
                r" ('\x03', 'finalize_market', '{}', 'final')"
            )
        )
        conn.execute(
            text(
                "INSERT INTO ops.reconciliations (market_slot, position_slot, covered_slot,"
                " markets, positions, in_flight, lag, missing_event, decode_error, drift)"
                " VALUES (1, 1, 1, 1, 1, 0, 0, 2, 0, 1)"
            )
        )


def test_rows_of_the_tables_become_figures(settings: Settings, owner: Engine) -> None:
    add_rows(owner)
    found = scraped(Exporter(settings))
    assert found["zmart_alerts_open", ("high",)] == 2
    assert found["zmart_alerts_open", ("critical",)] == 0
    assert found["zmart_alerts_open_by_topic", ("medium", "check")] == 1
    assert found["zmart_breakers_unclosed", ("rpc",)] == 1
    assert found["zmart_breaker_open_seconds", ("rpc",)] >= 400
    assert found["zmart_breaker_open_seconds", ("action",)] == 0
    assert found["zmart_intents_settled_last_hour", ("finalize_market", "final")] == 2
    assert found["zmart_intents_settled_last_hour", ("finalize_market", "failed")] == 1
    assert found["zmart_reconciliation_differences", ("missing_event",)] == 2
    assert found["zmart_reconciliation_differences", ("drift",)] == 1
    assert found["zmart_markets", ("active",)] == 0
    assert found["zmart_open_votes", ("dispute",)] == 0
    assert found["zmart_database_bytes", ()] > 1_000_000
    assert found["zmart_table_bytes", ("ops.alerts",)] > 0
    assert found["zmart_stored_ballots_total", ()] == 0
    states = [found["zmart_service_state", ("event-indexer", state)] for state in STATES]
    assert sorted(states) == [0, 0, 0, 0, 1], "it is in one of the states"


def test_what_cannot_be_read_is_absent_and_said_so(settings: Settings) -> None:
    found = scraped(Exporter(settings))
    up = {
        labels[0]: value for (name, labels), value in found.items() if name.endswith("section_up")
    }
    assert up == {"chain": 0, "database": 1, "dagster": 0, "machine": 1}
    names = {name for name, _ in found}
    assert {"zmart_chain_slot", "zmart_dagster_runs"}.isdisjoint(names)
    away = Settings.model_validate(
        settings.model_dump()
        | login_settings(f"postgresql://zmart:x@127.0.0.1:{unused_port()}/zmart")
    )
    found = scraped(Exporter(away))
    assert found["zmart_exporter_section_up", ("database",)] == 0
    assert "zmart_markets" not in {name for name, _ in found}
    assert found["zmart_disk_free_bytes", ()] > 0


def test_scrapes_in_a_row_measure_once(
    settings: Settings, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = Exporter(settings)
    before = scraped(exporter)
    add_rows(owner)
    assert scraped(exporter) == before
    monkeypatch.setattr(exporter_module, "FRESH_SECONDS", 0.0)
    assert scraped(exporter)["zmart_alerts_open", ("high",)] == 2


def test_parts_are_those_of_the_pid_files(settings: Settings) -> None:
    state = StateFolder.of(settings)
    state.prepare()
    PidFile(state.run / "demo.json").write(os.getpid())
    found = scraped(Exporter(settings))
    assert found["zmart_part_resident_bytes", ("demo",)] > 10_000_000
    assert found["zmart_part_cpu_seconds_total", ("demo",)] > 0
    assert found["zmart_part_open_files", ("demo",)] > 0


def test_labels_name_no_market_wallet_or_id(settings: Settings, owner: Engine) -> None:
    add_rows(owner)
    for _, labels in scraped(Exporter(settings)):
        assert all(len(value) < 32 and value not in ("one", "two", "three") for value in labels)


def test_port_in_use_is_named_with_the_remedy(settings: Settings) -> None:
    registry = CollectorRegistry()
    assert serve_metrics(settings, offset=0, registry=registry) == settings.metrics_port
    with pytest.raises(SystemExit, match="METRICS_PORT"):
        serve_metrics(settings, offset=0, registry=registry)
    unserved = settings.model_copy(update={"metrics_port": 0})
    assert serve_metrics(unserved, offset=3, registry=registry) == 0
