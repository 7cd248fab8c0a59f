"""The command line without a running system."""

import json
import time
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from tests.fixtures.localnet import StartLocalnet
from tests.fixtures.postgres import name_database
from zmart_pipelines.cli import main
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import running_postgres
from zmart_pipelines.store.engine import LOGINS

NAMES = sorted(main.commands)


@pytest.fixture
def no_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings whose servers do not run."""
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    name_database(monkeypatch, f"postgresql://u:hush@127.0.0.1:{unused_port()}/none")
    monkeypatch.setenv("SOLANA_RPC_URL", f"http://127.0.0.1:{unused_port()}/?api-key=hush")


def test_complete_list_of_commands() -> None:
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
        "deliveries",
        "market",
        "tx",
        "breakers",
        "audit",
        "webhook",
        "keys",
        "settings",
        "doctor",
        "reset",
        "alerts",
        "backup",
        "query",
        "restore",
        "logs",
        "watchdog",
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
        "audit",
    ],
)
def test_commands_that_print_facts_have_a_json_option(name: str) -> None:
    assert "--json" in CliRunner().invoke(main, [name, "--help"]).output


@pytest.mark.usefixtures("no_servers")
def test_status_without_a_system_reports_both_problems() -> None:
    answer = CliRunner().invoke(main, ["status"])
    assert answer.exit_code == 1
    assert "not up" in answer.output
    assert "problem    Postgres:" in answer.output
    assert "problem    chain:" in answer.output
    assert "hush" not in answer.output


@pytest.mark.usefixtures("no_servers")
def test_status_without_a_system_as_json() -> None:
    answer = CliRunner().invoke(main, ["status", "--json"])
    facts = json.loads(answer.output)
    assert (facts["up"], facts["database"], facts["chain_slot"]) == (False, None, None)
    assert len(facts["problems"]) == 2
    assert "hush" not in answer.output


@pytest.mark.process
def test_migrate_of_an_empty_database_creates_the_logins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    with running_postgres(logins=False) as server:
        monkeypatch.setenv("DATABASE_URL", server.url())
        early = CliRunner().invoke(main, ["rebuild"])
        assert (early.exit_code, "zmart migrate" in early.output) == (2, True)
        for _ in range(2):
            answer = CliRunner().invoke(main, ["migrate"])
            assert answer.exit_code == 0, answer.output
        status = json.loads(CliRunner().invoke(main, ["status", "--json"]).output)
        kept = {role: tmp_path / "secrets" / f"postgres-{role.value}" for role in LOGINS}
        passwords = {role: file.read_text() for role, file in kept.items()}
        assert {file.stat().st_mode & 0o777 for file in kept.values()} == {0o600}
        assert len(set(passwords.values())) == len(LOGINS)
        # Lost passwords, as on another machine: the roles have logins that are not ours.
        for file in kept.values():
            file.unlink()
        refused = CliRunner().invoke(main, ["migrate"])
        assert refused.exit_code == 6
        assert all(role.setting.upper() in refused.output for role in LOGINS)
        assert not any(password in refused.output for password in passwords.values())
        again = CliRunner().invoke(main, ["migrate", "--reset-logins"])
        assert again.exit_code == 0, again.output
    assert status["database"]["markets"]["FINALIZED"] == 0
    assert status["database"]["last_error"] is None


def test_status_follows_the_health_of_the_services(
    start_localnet: StartLocalnet, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing runs: what is allowed after a start is used up at once or never."""
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    name_database(monkeypatch, database)
    monkeypatch.setenv("SOLANA_RPC_URL", start_localnet().rpc_url)
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0

    def status(lag: str) -> Result:
        monkeypatch.setenv("HEALTH_CONFIRMED_LAG_SECONDS", lag)
        monkeypatch.setenv("HEALTH_FINALIZED_LAG_SECONDS", "99990/99999")
        return CliRunner().invoke(main, ["status"])

    fresh = status("99990/99999")
    assert fresh.exit_code == 0, fresh.output
    assert "starting confirmed_lag_seconds" in fresh.output
    deadline = time.monotonic() + 60
    while (down := status("1/2")).exit_code == 0:
        assert time.monotonic() < deadline
    assert "down     confirmed_lag_seconds" in down.output
    assert "down from 2): nothing was read yet" in down.output
    degraded = status("1/99999")
    assert degraded.exit_code == 0, "degraded is not down"
    assert "event-indexer   degraded" in degraded.output
    facts = json.loads(CliRunner().invoke(main, ["status", "--json"]).output)
    indexer = facts["database"]["services"]["event-indexer"]
    assert {one["name"] for one in indexer["quantities"]} >= {"finalized_lag_seconds"}


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


@pytest.mark.usefixtures("no_servers")
def test_rebuild_rejects_an_invalid_market_id() -> None:
    answer = CliRunner().invoke(main, ["rebuild", "--market", "beef"])
    assert answer.exit_code == 2
    assert "--market: 'beef' is not 64 hexadecimal digits" in answer.output


@pytest.mark.usefixtures("no_servers")
@pytest.mark.parametrize("name", ["migrate", "rebuild", "redecode"])
def test_unreachable_database_is_one_line_without_the_password(name: str) -> None:
    answer = CliRunner().invoke(main, [name])
    assert answer.exit_code == 2
    assert answer.output.startswith("Postgres does not answer: ")
    assert len(answer.output.splitlines()) <= 2
    assert "hush" not in answer.output
