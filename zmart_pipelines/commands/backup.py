"""``zmart backup``: take a backup, list backups, verify one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec

from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

EXIT_FAILED = 1


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.pass_context
def backup(context: click.Context, as_json: bool) -> None:
    """Back up the database and the pinned files, and verify the backup.

    The backup is restored into a temporary Postgres, migrated, and compared table by table before
    it counts. Backups older than BACKUP_KEEP_DAYS are deleted, but never the last good one.
    BACKUP_TARGET says where they are kept, BACKUP_KEY encrypts them.

    \b
    Exit codes: 0 taken and verified, 1 it failed, 2 Postgres does not answer.

    \b
    Example:
      zmart backup
      BACKUP_TARGET=s3://bucket/zmart zmart backup --json
    """
    if context.invoked_subcommand is not None:
        return
    from zmart_pipelines.backup.nightly import back_up
    from zmart_pipelines.store.engine import Role, engine

    settings = with_running_system(Settings())
    pool = engine(Role.PIPELINES, settings, pool_size=1)
    try:
        with _failing():
            taken = back_up(settings, pool)
    finally:
        pool.dispose()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(taken.manifest), indent=2).decode())
        return
    click.echo(
        f"backup {taken.row.name} in {taken.row.target}: {taken.row.bytes} bytes, "
        f"{taken.row.rows} rows of {len(taken.manifest.tables)} tables, "
        f"{len(taken.manifest.cids)} pinned files"
        f"{', encrypted' if taken.manifest.encrypted else ''}"
    )
    click.echo(
        f"taken in {taken.taking_seconds:.1f} s, restored and compared in "
        f"{taken.verifying_seconds:.1f} s"
    )
    for name in taken.deleted:
        click.echo(f"deleted {name}, which was past its retention")


@backup.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the backups as JSON.")
def list_backups(as_json: bool) -> None:
    """List the backups of BACKUP_TARGET, oldest first. No database is needed.

    \b
    Exit codes: 0 there is a verified backup, 1 there is none, or the target cannot be read.

    \b
    Example:
      zmart backup list
    """
    from zmart_pipelines.backup.stored_backups import open_store

    settings = with_running_system(Settings())
    with _failing(), open_store(settings) as store:
        found = store.backups()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        for one in found:
            state = "verified" if one.verified else "complete" if one.complete else "not complete"
            click.echo(f"{one.name}  {state}")
        if not found:
            click.echo(f"no backups in {store.target.label}")
    raise SystemExit(0 if any(one.verified for one in found) else EXIT_FAILED)


@backup.command()
@click.argument("name")
def verify(name: str) -> None:
    """Restore a backup into a temporary Postgres and compare it. No database is needed.

    \b
    Exit codes: 0 the backup is good, 1 it is not, or it cannot be read.

    \b
    Example:
      zmart backup verify 20260131T000000Z
    """
    from zmart_pipelines.backup.nightly import now_utc
    from zmart_pipelines.backup.stored_backups import open_store
    from zmart_pipelines.backup.verification import verify_backup

    settings = with_running_system(Settings())
    with _failing(), open_store(settings) as store:
        done = verify_backup(settings, store, name, now_utc())
    click.echo(f"backup {name} is good: {done.rows} rows of {done.tables} tables")


@backup.command()
def key() -> None:
    """Print a new BACKUP_KEY. Keep a copy of it elsewhere than the backups.

    \b
    Example:
      zmart backup key
    """
    from zmart_pipelines.backup.encryption import new_key

    click.echo(new_key())


@contextmanager
def _failing() -> Iterator[None]:
    """End the command with the message of a backup's error."""
    from zmart_pipelines.backup.errors import BackupError

    try:
        yield
    except BackupError as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_FAILED) from error
