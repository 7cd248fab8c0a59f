"""``zmart migrate``, ``zmart check`` and ``zmart record``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from pydantic import SecretStr

from zmart_pipelines.runtime.process_environment import process_environment
from zmart_pipelines.runtime.processes import EXIT_LOGINS_MISSING, EXIT_UNKNOWN_SCHEMA
from zmart_pipelines.runtime.state_folder import StateFolder, with_logins, with_running_system
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS, Role, login_url


@click.command()
@click.option(
    "--reset-logins",
    is_flag=True,
    help="Also set the passwords of roles that have a login already.",
)
def migrate(reset_logins: bool) -> None:
    """Create or upgrade the database's schemas, tables and roles, and the roles' logins.

    Each role logs in with a password of its own, which the state folder keeps (mode 0600), unless
    DATABASE_URL_API and so on name logins. Logins are created if the user of DATABASE_URL may do
    so (CREATEROLE).

    \b
    Exit codes: 0 the schema is current and every role can log in, 2 Postgres does not answer,
    5 the database was created by a version with other migrations (see zmart reset), 6 a role
    cannot log in.

    \b
    Example:
      zmart migrate
      DATABASE_URL=postgresql://user:password@host/zmart zmart migrate
    """
    from zmart_pipelines.health.start import record_start
    from zmart_pipelines.store.logins import LoginsMissing, ensure_logins
    from zmart_pipelines.store.migrate import UnknownRevision
    from zmart_pipelines.store.migrate import migrate as migrate_database

    settings = with_running_system(Settings())
    state = StateFolder.of(settings)
    state.prepare()
    settings = with_logins(settings, state, create=True)
    owner = settings.database_url.get_secret_value()
    try:
        migrate_database(owner)
        urls = {Role(role): login_url(role, settings) for role in LOGINS}
        ensure_logins(owner, urls, reset=reset_logins)
    except UnknownRevision as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_UNKNOWN_SCHEMA) from error
    except LoginsMissing as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_LOGINS_MISSING) from error
    record_start(settings)
    click.echo("the database has the current schema, and every role its login")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option(
    "--recorded",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check a recorded chain, in a temporary Postgres.",
)
def check(as_json: bool, recorded: Path | None) -> None:
    """Run every data check against the configured database and chain.

    With --recorded no system has to run: a temporary database is filled from the file and
    compared with the accounts in it.

    \b
    Exit codes: 0 all checks pass, 1 a check of severity ERROR failed, 2 a check could not run.

    \b
    Example:
      zmart check --json
      zmart check --recorded chain.json.gz
    """
    settings = with_running_system(Settings())
    command = [sys.executable, "-m", "assets.run_checks", *(["--json"] if as_json else [])]
    if recorded is None:
        raise SystemExit(_run(command, settings))
    from zmart_pipelines.runtime.temporary_postgres import login_settings, running_postgres
    from zmart_pipelines.store.migrate import migrate as migrate_database

    with running_postgres() as server:
        migrate_database(server.url())
        logins = {name: SecretStr(url) for name, url in login_settings(server.url()).items()}
        own = settings.model_copy(update=logins)
        raise SystemExit(_run([*command, "--recorded", str(recorded)], own))


def _run(command: Sequence[str], settings: Settings) -> int:
    environment = process_environment("checks", settings)
    return subprocess.run(command, env=environment, check=False).returncode


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def record(file: Path) -> None:
    """Record the configured chain: the program's transactions and accounts at finalized.

    \b
    Example:
      zmart record chain.json.gz && zmart check --recorded chain.json.gz
    """
    from zmart_pipelines.chain.connect import connect
    from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
    from zmart_pipelines.chain.recording import RecordingError
    from zmart_pipelines.chain.recording import record as read_all

    settings = with_running_system(Settings())
    try:
        with connect(settings) as rpc:
            made = read_all(rpc, settings.program)
    except (RecordingError, RpcError, RpcUnavailable, RateLimited) as error:
        raise click.ClickException(str(error)) from error
    made.write(file)
    click.echo(
        f"{len(made.transactions)} transactions and {len(made.accounts)} accounts at slot "
        f"{made.slot} in {file}"
    )
