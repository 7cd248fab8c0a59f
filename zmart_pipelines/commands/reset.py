"""``zmart reset``: delete the data of the embedded parts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NoReturn

import click

from zmart_pipelines.runtime import leftover_processes
from zmart_pipelines.runtime.embedded_services import EmbeddedParts
from zmart_pipelines.runtime.postgres import recorded_cluster_home
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.supervisor import AlreadyRunning, Lock
from zmart_pipelines.settings import Settings

EXIT_REFUSED = 1
EXIT_RUNNING = 3
STOP_SECONDS = 5


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def reset(yes: bool) -> None:
    """Delete the data of the embedded parts: database, local chain, keys, secrets, pins, logs.

    The next zmart up starts from empty. Refused while the system runs, and when DATABASE_URL
    is set, because an external database is never changed. Other files in the state folder
    stay.

    \b
    Exit codes: 0 deleted or nothing to delete, 1 refused, 3 the system runs.

    \b
    Example:
      zmart reset
      zmart reset --yes && zmart up
    """
    settings = Settings()
    if not EmbeddedParts.of(settings).postgres:
        _refuse(
            "DATABASE_URL is set: zmart reset deletes only the embedded database. Unset it, or "
            "create an empty database and name that one."
        )
    state = StateFolder.of(settings)
    entries = [path for path in state.entries() if path.exists()]
    if not entries:
        click.echo(f"nothing to delete in {state.root}")
        return
    lock = Lock(state.lock)
    try:
        lock.acquire({})
    except AlreadyRunning as error:
        click.echo(f"{error}\nstop it first (Ctrl-C where it runs)", err=True)
        raise SystemExit(EXIT_RUNNING) from error
    try:
        home = recorded_cluster_home(state.root)
        outside = home.exists() and not home.is_relative_to(state.root)
        paths = [*entries, *([home] if outside else [])]
        if not yes:
            click.echo("to be deleted:\n" + "\n".join(f"  {path}" for path in paths))
            click.confirm("Delete all of it?", abort=True)
        _stop_leftovers(state, home)
        for path in paths:
            _delete(path)
    finally:
        lock.release()
    click.echo(f"deleted the data in {state.root}; zmart up starts from empty")


def _stop_leftovers(state: StateFolder, home: Path) -> None:
    """Stop what a killed supervisor left running on the data."""
    files = [leftover_processes.PidFile(path) for path in state.run.glob("*.json")]
    found = leftover_processes.find(files, str(state.root), (state.root, home))
    leftover_processes.end(found, patience=STOP_SECONDS)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _refuse(text: str) -> NoReturn:
    click.echo(text, err=True)
    raise SystemExit(EXIT_REFUSED)
