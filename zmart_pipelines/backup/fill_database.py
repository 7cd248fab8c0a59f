"""Fill the database of DATABASE_URL: ``python -m zmart_pipelines.backup.fill_database``.

One step of ``zmart restore``, in a process of its own. It refuses a database that is not empty
unless it is given ``--replace``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click
import psycopg

from zmart_pipelines.backup.client_programs import client_programs
from zmart_pipelines.backup.database_restore import drop_schemas, existing_schemas
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.pinned_files import restore_files
from zmart_pipelines.backup.stored_backups import BackupStore, open_store
from zmart_pipelines.backup.verification import check_files, restore_into
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import libpq_url

EXIT_REFUSED: Final = 7
LATEST: Final = "latest"


@click.command()
@click.option("--from", "name", help="The backup, or latest; without it the database stays empty.")
@click.option("--replace", is_flag=True, help="Delete what the database has.")
def main(name: str | None, replace: bool) -> None:
    """Fill the database from a backup, or make sure that it is empty."""
    settings = Settings()
    try:
        fill(settings, name, replace=replace)
    except (BackupError, psycopg.Error) as error:
        click.echo(f"restore: {error}", err=True)
        raise SystemExit(EXIT_REFUSED) from error


def fill(settings: Settings, name: str | None, *, replace: bool) -> None:
    """Fill the database and the local pin store from a backup.

    The backup's files are compared with its manifest before anything is deleted.

    Args:
        settings: The database's owner, the target and its key.
        name: The backup; ``latest``: the newest verified one; None: leave the database empty.
        replace: Delete what the database has.

    Raises:
        BackupError: The backup is damaged, or the database is not empty.
    """
    url = settings.database_url.get_secret_value()
    if name is None:
        _make_empty(url, replace=replace)
        return
    began = time.monotonic()
    with open_store(settings) as store:
        chosen = newest_good(store) if name == LATEST else name
        manifest = store.manifest(chosen)
        pins = check_files(store, manifest)
        programs: Path = client_programs(settings)
        _make_empty(url, replace=replace)
        restore_into(store, manifest, url, programs)
    restore_files(LocalPinStore(settings.zmart_state / "ipfs"), pins)
    click.echo(
        f"restored backup {chosen} of {manifest.taken_at:%F %T}Z: {manifest.rows} rows of "
        f"{len(manifest.tables)} tables, {len(pins)} pinned files, in "
        f"{time.monotonic() - began:.1f} s"
    )


def newest_good(store: BackupStore) -> str:
    """Return the name of the newest verified backup.

    Raises:
        BackupError: There is none.
    """
    verified = [one.name for one in store.backups() if one.verified]
    if not verified:
        raise BackupError(
            f"{store.target.label} has no verified backup (zmart backup list); name one, or"
            " --from-chain"
        )
    return verified[-1]


def _make_empty(url: str, *, replace: bool) -> None:
    with psycopg.connect(libpq_url(url)) as conn:
        existing = existing_schemas(conn)
    if existing and not replace:
        raise BackupError(
            f"the database is not empty (schema {', '.join(existing)}): --replace deletes what it"
            " has"
        )
    if existing:
        drop_schemas(url)


if __name__ == "__main__":
    main()
