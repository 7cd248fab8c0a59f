"""``zmart restore``: from a backup, to a moment, or from the chain alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from zmart_pipelines.runtime.embedded_services import Embedded, EmbeddedParts
from zmart_pipelines.runtime.os_accounts import NoServerAccount
from zmart_pipelines.runtime.ports import PortsInUse
from zmart_pipelines.runtime.postgres import PostgresError
from zmart_pipelines.runtime.processes import plan
from zmart_pipelines.runtime.redis import RedisNotFound
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.supervisor import AlreadyRunning, Lock, StartupFailed
from zmart_pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zmart_pipelines.backup.point_in_time import Recovered

EXIT_FAILED: Final = 1
EXIT_RUNNING: Final = 3
LATEST: Final = "latest"

LOST: Final = """the chain has markets, trades, positions, claims, its own votes and the configuration. It does not have, and these are lost:
  ballots and tallies, with the signed texts of what was counted (the bundles remain where they are pinned)
  comments, votes on comments, reports, and snapshots that were not pinned elsewhere
  users, drafts with the questions of markets, uploaded files, sessions and service keys
  intents and attempts: what is due is decided again from the accounts on chain
  alerts with their messages and silences, operators' orders and switches, the audit log
  webhook deliveries, and relayed transactions that have not landed
  reports of runs, reconciliations, repairs, backups and table sizes, and which code of the program was accepted
  frames of the live updates: clients begin again from a snapshot"""  # noqa: E501


@click.command()
@click.option("--from", "name", metavar="BACKUP", help="A backup's name, or latest.")
@click.option("--at", metavar="TIME", help="ISO 8601 with a UTC offset, or latest; embedded only.")
@click.option("--from-chain", is_flag=True, help="Without a backup: what the chain has.")
@click.option("--replace", is_flag=True, help="Replace a database that is not empty.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def restore(name: str | None, at: str | None, from_chain: bool, replace: bool, yes: bool) -> None:
    """Restore the database, read what it misses from the chain, and run every check.

    The system must not run; zmart up starts it afterwards. A database that is not empty is refused
    without --replace, which asks for confirmation. --from restores a backup of zmart backup, --at
    the embedded database at a time, from the archived log: its folder of before is kept beside it.

    \b
    Exit codes: 0 restored and every check passes, 1 it failed or a check does, 3 the system runs.

    \b
    Example:
      zmart restore --from latest
      zmart restore --at 2026-01-31T11:59:59Z --replace
      zmart restore --from-chain
    """
    moment = _chosen_moment(name, at, from_chain)
    settings = Settings()
    state = StateFolder.of(settings)
    state.prepare()
    if replace and not yes:
        click.confirm("Replace what the database has?", abort=True)
    began = time.monotonic()
    try:
        if at is not None:
            _restore_to(settings, state, moment, replace=replace)
            _finish(settings, state, None)
        else:
            fill = ["--from", name] if name is not None else []
            _finish(settings, state, [*fill, *(["--replace"] if replace else [])])
    except AlreadyRunning as error:
        click.echo(f"{error}\nstop it first (Ctrl-C where it runs)", err=True)
        raise SystemExit(EXIT_RUNNING) from error
    except (StartupFailed, PostgresError, RedisNotFound, NoServerAccount, PortsInUse) as error:
        _fail(str(error))
    if from_chain:
        click.echo(LOST)
    click.echo(f"restored, every check passes; it took {time.monotonic() - began:.0f} s")


def _chosen_moment(name: str | None, at: str | None, from_chain: bool) -> datetime | None:
    """Return the time of ``--at``; None for its end of the log and for the other sources."""
    if (name is not None) + (at is not None) + from_chain != 1:
        raise click.UsageError("give one of --from BACKUP, --at TIME and --from-chain")
    if at is None or at == LATEST:
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise click.UsageError(f"--at: {at!r} is not a time in ISO 8601") from error
    if moment.tzinfo is None:
        raise click.UsageError(f"--at: {at!r} has no UTC offset, for example Z or +00:00")
    return moment


def _restore_to(
    settings: Settings, state: StateFolder, at: datetime | None, *, replace: bool
) -> None:
    from zmart_pipelines.backup.errors import BackupError
    from zmart_pipelines.backup.point_in_time import restore_cluster

    if not EmbeddedParts.of(settings).postgres:
        raise click.UsageError("--at restores the embedded database; DATABASE_URL is set")
    lock = Lock(state.lock)
    lock.acquire({})
    try:
        server = Embedded.choose(settings, state).postgres
        if server is None:
            raise click.UsageError("--at restores the embedded database")
        if (server.data / "PG_VERSION").exists() and not replace:
            _fail(f"{server.data} has a database: --replace keeps it beside the restored one")
        done = restore_cluster(server, settings, at, state.logs / "restore.log")
    except BackupError as error:
        _fail(str(error))
    finally:
        lock.release()
    _report(done)


def _report(done: Recovered) -> None:
    last = "none" if done.last_commit_at is None else f"{done.last_commit_at.isoformat()}"
    click.echo(
        f"base backup {done.base} and {done.segments} files of the log replayed in "
        f"{done.seconds:.1f} s; last transaction: {last}"
    )
    if done.moved_to is not None:
        click.echo(f"the folder of before is {done.moved_to}; delete it when it is not needed")


def _finish(settings: Settings, state: StateFolder, fill: Sequence[str] | None) -> None:
    from zmart_pipelines.backup.restored_system import restored_system

    system = plan(settings, state, demo=False, restoring=True)
    state.save_environment(system.settings.environment())
    supervisor = restored_system(system, state, _say, fill)
    asyncio.run(supervisor.run(when_up=lambda: os.kill(os.getpid(), signal.SIGTERM)))


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _fail(text: str) -> None:
    click.echo(text, err=True)
    raise SystemExit(EXIT_FAILED)
