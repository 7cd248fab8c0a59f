"""``zmart migrate`` and ``zmart check``: the database's schema, and what must hold in it."""

from __future__ import annotations

import os
import subprocess
import sys

import click

from zmart_pipelines.runtime.state import connected
from zmart_pipelines.settings import Settings


@click.command()
def migrate() -> None:
    """Create or upgrade the database's schemas, tables and roles.

    \b
    Example:
      zmart migrate
      DATABASE_URL=postgresql://user:password@host/zmart zmart migrate
    """
    from zmart_pipelines.store.migrate import migrate as bring_up_to_date

    bring_up_to_date(connected(Settings()).database_url.get_secret_value())
    click.echo("the database has the current schema")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def check(as_json: bool) -> None:
    """Run every data check against the configured database and chain.

    \b
    Exit codes: 0 all hold, 1 an ERROR check failed, 2 a check could not run.

    \b
    Example:
      zmart check --json
    """
    settings = connected(Settings())
    command = [sys.executable, "-m", "assets.run_checks", *(["--json"] if as_json else [])]
    environment = dict(os.environ) | settings.environment()
    raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)
