"""The command line without a running system."""

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from tests.fixtures.ports import free_port
from zmart_pipelines.cli import main

NAMES = sorted(main.commands)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that lead to no running part."""
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:hush@127.0.0.1:{free_port()}/none")
    monkeypatch.setenv("SOLANA_RPC_URL", f"http://127.0.0.1:{free_port()}/?api-key=hush")


def test_the_commands_are_these() -> None:
    up_and_down = {"up", "status", "localnet", "migrate"}
    assert set(NAMES) == up_and_down | {
        "check",
        "record",
        "backfill",
        "rebuild",
        "redecode",
        "verify-tally",
        "admin",
        "switch",
        "submissions",
        "breakers",
        "webhook",
        "settings",
        "doctor",
        "reset",
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name != "localnet"])
def test_help_has_an_example(name: str) -> None:
    answer = CliRunner().invoke(main, [name, "--help"])
    assert answer.exit_code == 0
    assert "Example:" in answer.output
    assert f"zmart {name}" in answer.output


@pytest.mark.parametrize(
    "name",
    [
        "status",
        "check",
        "backfill",
        "rebuild",
        "redecode",
        "verify-tally",
        "breakers",
        "submissions",
    ],
)
def test_what_prints_facts_prints_json(name: str) -> None:
    assert "--json" in CliRunner().invoke(main, [name, "--help"]).output


@pytest.mark.usefixtures("nowhere")
def test_status_of_nothing_says_what_is_away_and_exits_red() -> None:
    answer = CliRunner().invoke(main, ["status"])
    assert answer.exit_code == 1
    assert "not up" in answer.output
    assert "problem    Postgres:" in answer.output
    assert "problem    chain:" in answer.output
    assert "hush" not in answer.output


@pytest.mark.usefixtures("nowhere")
def test_status_of_nothing_as_json() -> None:
    answer = CliRunner().invoke(main, ["status", "--json"])
    facts = json.loads(answer.output)
    assert (facts["up"], facts["database"], facts["chain_slot"]) == (False, None, None)
    assert len(facts["problems"]) == 2
    assert "hush" not in answer.output


def test_migrate_makes_an_empty_database_current(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    for _ in range(2):
        answer = CliRunner().invoke(main, ["migrate"])
        assert answer.exit_code == 0, answer.output
    status = json.loads(CliRunner().invoke(main, ["status", "--json"]).output)
    assert status["database"]["markets"]["FINALIZED"] == 0
    assert status["database"]["last_error"] is None


def test_migrate_of_an_unknown_schema_names_the_remedy(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE public.schema_version SET version_num = 'older'")
    answer = CliRunner().invoke(main, ["migrate"])
    assert answer.exit_code == 5
    assert "zmart reset" in answer.output


@pytest.mark.usefixtures("nowhere")
def test_rebuild_names_a_market_id_that_is_none() -> None:
    answer = CliRunner().invoke(main, ["rebuild", "--market", "beef"])
    assert answer.exit_code == 2
    assert "--market: 'beef' is not 64 hexadecimal digits" in answer.output


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("name", ["migrate", "rebuild", "redecode"])
def test_a_database_that_is_away_is_one_line_and_no_password(name: str) -> None:
    answer = CliRunner().invoke(main, [name])
    assert answer.exit_code == 2
    assert answer.output.startswith("Postgres does not answer: ")
    assert len(answer.output.splitlines()) <= 2
    assert "hush" not in answer.output
