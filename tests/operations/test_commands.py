"""Every command of an operator leaves a row in the audit log, or has a reason why not."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from tests.chain.helius_api import KEY, HeliusApi
from tests.operations import world as rows
from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.cli import main
from zmart_pipelines.monitoring.alerts import AlertKey, raise_alert
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.alert_silences import current_silences
from zmart_pipelines.store.queries.alerts import open_alerts

# What a command does, as the audit log names it. Each is run below.
AUDITED: Final[Mapping[str, str]] = {
    "admin prepare approve": "prepare_admin_transaction",
    "admin prepare cancel": "prepare_admin_transaction",
    "admin prepare pause": "prepare_admin_transaction",
    "admin prepare update-config": "prepare_admin_transaction",
    "admin reopen": "reopen_vote",
    "switch": "switch",
    "submissions retry": "retry_submission",
    "submissions close": "close_submission",
    "deliveries retry": "redeliver",
    "breakers reset": "breaker_reset",
    "backfill": "backfill",
    "rebuild": "rebuild",
    "redecode": "redecode",
    "keys create": "create_key",
    "keys revoke": "revoke_key",
    "keys rotate-signing-key": "rotate_signing_key",
    "alerts ack": "acknowledge_alert",
    "alerts silence": "silence_alerts",
    "alerts unsilence": "end_silence",
    "webhook register": "register_webhook",
    "webhook rotate": "rotate_webhook_secret",
}
NOT_AUDITED: Final[Mapping[str, str]] = {
    "up": "starts processes; what they do is recorded where they do it",
    "localnet": "a local chain for development",
    "migrate": "the schema's own table of versions says what was migrated",
    "reset": "deletes the database and the log with it",
    "restore": "replaces the database and the log with it",
    "backup": "reads the database, as the role that may only read",
    "backup list": "reads",
    "backup verify": "reads",
    "backup key": "prints a new key, which is stored nowhere",
    "alerts list": "reads",
    "logs": "reads",
    "watchdog": "raises alerts, which are rows",
    "check": "evaluates the checks that a schedule evaluates anyway",
    "record": "records the local chain into a file",
    "status": "reads",
    "doctor": "reads",
    "settings": "reads",
    "market": "reads",
    "tx": "reads",
    "audit": "reads",
    "query": "reads, as the role that may only read",
    "verify-tally": "reads a bundle and the chain, not the database",
    "deliveries": "reads",
    "deliveries show": "reads",
    "submissions": "reads",
    "breakers": "reads",
    "keys list": "reads",
    "webhook status": "reads",
}


def commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    """Yield every command that does something by itself."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield f"{prefix}{name}"
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}"


def test_every_command_is_audited_or_has_a_reason() -> None:
    assert set(AUDITED).isdisjoint(NOT_AUDITED)
    assert set(commands(main)) == {*AUDITED, *NOT_AUDITED}


@pytest.fixture
def log(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


@pytest.fixture
def run(database: str, tmp_path: Path) -> Callable[..., Result]:
    """Run a command on the test's database."""

    def run(*words: str, **more: str) -> Result:
        settings = {name.upper(): value for name, value in login_settings(database).items()}
        environment = {**settings, "ZMART_STATE": str(tmp_path / "cli"), **more}
        done = CliRunner().invoke(main, list(words), env=environment)
        assert done.exit_code in (0, 1), done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return done

    return run


def assert_recorded(log: Engine, command: str, subject: str | None, reason: str = "") -> None:
    """The last row is of the command, by the account that ran it."""
    last = rows.acts(log)[-1]
    user = pwd.getpwuid(os.getuid()).pw_name
    found = (last.action, last.entry_point, last.os_user, last.subject, last.reason)
    assert found == (AUDITED[command], "cli", user, subject, reason), command


def test_commands_on_the_database_are_recorded(
    log: Engine, database: str, run: Callable[..., Result]
) -> None:
    with log.begin() as conn:
        raise_alert(conn, AlertKey("stuck_run"), "high", "a drill")
        alert = open_alerts(conn, 10)[0].id
        rows.open_breaker(conn)
        retried, closed = rows.failed_intent(conn), rows.failed_intent(conn, 1)
    ingest = role_engine(Role.INGEST, database)
    with ingest.begin() as conn:
        delivery = rows.stored_delivery(conn)
    ingest.dispose()
    reason = ("--reason", "a drill")
    for command, words, subject in (
        ("switch", ["all", "off"], "all"),
        ("breakers reset", [rows.BREAKER], rows.BREAKER),
        ("submissions retry", [str(retried)], str(retried)),
        ("submissions close", [str(closed)], str(closed)),
        ("deliveries retry", [str(delivery)], str(delivery)),
        ("rebuild", [], None),
        ("redecode", [], None),
        ("keys create", ["desk"], "desk"),
        ("keys revoke", ["desk"], "desk"),
        ("alerts ack", [str(alert)], str(alert)),
        ("alerts silence", ["stuck_run", "--for", "2h"], "1"),
        ("alerts unsilence", ["1"], "1"),
    ):
        before = len(rows.acts(log))
        done = run(*command.split(), *words, *reason)
        assert done.exit_code == 0, (command, done.output)
        assert len(rows.acts(log)) == before + 1, command
        assert_recorded(log, command, subject, "a drill")
    assert run("keys", "rotate-signing-key").exit_code == 0
    assert_recorded(log, "keys rotate-signing-key", None)
    # What is only shown, and what is refused, is no act.
    before = len(rows.acts(log))
    for words in (["switch"], ["breakers"], ["keys", "list"], ["switch", "all", "off"]):
        run(*words)
    run("keys", "revoke", "desk")
    assert len(rows.acts(log)) == before
    shown = run("audit", "--action", "create_key", "--json").stdout
    assert '"subject":"desk"' in shown
    assert "zmart_" not in shown, "the key itself is in no log"
    assert "a drill" in run("audit", "--limit", "2").stdout


@pytest.mark.parametrize("reason", [(), ("--reason", "  ")])
def test_silence_does_not_end_without_a_reason(
    reason: tuple[str, ...], log: Engine, database: str, tmp_path: Path
) -> None:
    environment = {
        **{name.upper(): value for name, value in login_settings(database).items()},
        "ZMART_STATE": str(tmp_path / "cli"),
    }
    silence = ["alerts", "silence", "run", "--for", "2h", "--reason", "an upgrade"]
    assert CliRunner().invoke(main, silence, env=environment).exit_code == 0
    ended = CliRunner().invoke(main, ["alerts", "unsilence", "1", *reason], env=environment)
    assert ended.exit_code == 2, ended.output
    assert "reason" in ended.output
    assert [act.action for act in rows.acts(log)] == ["silence_alerts"]
    with log.connect() as conn:
        assert [silence.topic for silence in current_silences(conn)] == ["run"]


def test_commands_that_read_the_chain_are_recorded(
    world: World, log: Engine, run: Callable[..., Result]
) -> None:
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.settings = world.settings.model_copy(update={"admin_keypair": None})
    world.sync()
    world.vote(market, [True] * 10)
    world.plan()
    world.drive()
    chain = {
        name: value
        for name, value in world.settings.environment().items()
        if not name.startswith("DATABASE_URL") and name != "ZMART_STATE"
    }
    for command, words, subject in (
        ("admin prepare approve", [market.hex()], market.hex()),
        ("admin prepare cancel", [market.hex()], market.hex()),
        ("admin prepare pause", ["on"], None),
        ("admin prepare update-config", ["--dispute-period", "99"], None),
        ("backfill", ["--to-slot", "3"], "0-3"),
    ):
        done = run(*command.split(), *words, **chain)
        assert done.exit_code == 0 or command == "backfill", (command, done.output)
        assert "not recorded" not in done.stderr
        assert_recorded(log, command, subject)
    reopened = [market.hex(), "proposal", "--reason", "a drill"]
    assert run("admin", "reopen", *reopened, **chain).exit_code == 0
    assert_recorded(log, "admin reopen", market.hex(), "a drill")
    assert rows.acts(log)[0].details["kind"] == "approve"


def test_commands_on_the_webhook_are_recorded(log: Engine, run: Callable[..., Result]) -> None:
    helius = HeliusApi()
    url = "https://api.example.com/api/webhooks/helius"
    secret = "first-secret-of-the-webhook"
    settings = {
        "HELIUS_API_URL": helius.url,
        "HELIUS_API_KEY": KEY,
        "HELIUS_WEBHOOK_SECRET": secret,
        "SOLANA_CLUSTER": "devnet",
    }
    run("webhook", "register", "--url", url, **settings)
    assert_recorded(log, "webhook register", url)
    run("webhook", "register", "--url", url, **settings)
    assert len(rows.acts(log)) == 1, "nothing was changed"
    run("webhook", "rotate", **settings)
    assert_recorded(log, "webhook rotate", None)
    assert secret not in str(rows.acts(log))
    helius.close()
