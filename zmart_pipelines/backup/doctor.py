"""Checks of what backups need: programs, target and key."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from zmart_pipelines.backup.client_programs import client_programs
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.stored_backups import open_store
from zmart_pipelines.runtime.doctor.findings import Finding, fail, ok, warn
from zmart_pipelines.runtime.postgres import major_version
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import libpq_url

_TIMEOUT = 5  # seconds


def check_backups(settings: Settings, *, running: bool) -> Iterator[Finding]:
    """Check that a backup could be taken, and whether there is a good one.

    Args:
        settings: Target, key and programs.
        running: Whether the database can be asked for its version.
    """
    yield _check_programs(settings, running=running)
    yield _check_target(settings)


def _check_programs(settings: Settings, *, running: bool) -> Finding:
    subject = "backup programs"
    try:
        folder = client_programs(settings)
    except BackupError as error:
        return fail(subject, str(error), "set POSTGRES_BIN")
    ours = major_version(folder)
    if not running:
        return ok(subject, f"pg_dump of Postgres {ours} in {folder}")
    url = libpq_url(settings.database_url.get_secret_value())
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT) as conn:
            server = conn.info.server_version // 10_000
    except psycopg.OperationalError:
        return warn(subject, "the server's version is not known", "see the finding on Postgres")
    if server > ours:
        return fail(
            subject,
            f"pg_dump of Postgres {ours} in {folder} cannot dump a server of version {server}",
            f"set POSTGRES_BIN to the programs of Postgres {server}",
        )
    return ok(subject, f"pg_dump of Postgres {ours} in {folder}, the server is {server}")


def _check_target(settings: Settings) -> Finding:
    subject = "backups"
    try:
        with open_store(settings) as store:
            verified = [one for one in store.backups() if one.verified]
            label = store.target.label
    except BackupError as error:
        return fail(subject, str(error), "correct BACKUP_TARGET, BACKUP_S3_… or BACKUP_KEY")
    if not verified:
        return warn(subject, f"no verified backup in {label}", "zmart backup takes one")
    return ok(subject, f"{len(verified)} verified in {label}, the last {verified[-1].name}")
