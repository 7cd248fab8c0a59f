"""``backup/database``: every night's backup of the database and the pinned files, verified.

A backup is of the moment when it is taken, so that past days cannot be made up for: the asset has
no partitions. The schedule looks every ten minutes whether one is due, so that a night without a
running system is followed by a backup as soon as it runs.
"""

import dagster as dg

from assets import metadata
from assets.as_of import AsOf
from assets.asset_jobs import asset_job, job_schedule
from assets.asset_specs import asset_spec
from assets.resources import Backend, BackendResource
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.nightly import back_up, now_utc
from zmart_pipelines.backup.retention import is_due
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.backups import last_verified, newest_backups
from zmart_pipelines.store.tables.backups import backups


@dg.multi_asset(
    name="database_backup",
    specs=[
        asset_spec(
            "backup/database",
            table=backups,
            description="A dump of every table but Dagster's, with the pinned files, kept where"
            " BACKUP_TARGET says; restored, migrated and compared before it counts.",
        )
    ],
)
def database_backup(
    context: dg.AssetExecutionContext, config: AsOf, backend: BackendResource
) -> dg.MaterializeResult[None]:
    """Take a backup, verify it, and delete those past their retention as of the given time."""
    pipelines = backend.engine(Role.PIPELINES)
    try:
        taken = back_up(backend.settings, pipelines, retention_as_of=config.moment)
    except BackupError as error:
        raise dg.Failure(str(error)) from error
    with backend.engine(Role.READ).connect() as conn:
        newest = newest_backups(conn, metadata.PREVIEW_ROWS)
    for name in taken.deleted:
        context.log.info("deleted backup %s, which is past its retention", name)
    row = taken.row
    return dg.MaterializeResult[None](
        metadata={
            "Name": row.name,
            "Target": row.target,
            "Encrypted": taken.manifest.encrypted,
            "Verified": row.verified_at is not None,
            "Bytes": row.bytes,
            "Rows": row.rows,
            "SHA-256 of the manifest": row.sha256,
            "Log position": row.lsn,
            "Pinned files": len(taken.manifest.cids),
            "Taking (s)": round(taken.taking_seconds, 1),
            "Verifying (s)": round(taken.verifying_seconds, 1),
            "Deleted": len(taken.deleted),
            "Newest backups": metadata.table(
                metadata.rows(newest, "name", "verified_at", "bytes", "rows", "error")
            ),
        }
    )


backup_job = asset_job(
    "back_up",
    "backup/database",
    description="Backs up the database and the pinned files, and verifies the backup.",
)


def backups_due(backend: Backend) -> int:
    """Return 1 if no verified backup was begun since the last midnight, UTC; otherwise 0."""
    with backend.engine(Role.READ).connect() as conn:
        return int(is_due(last_verified(conn), now_utc()))


backup_schedule = job_schedule(
    backup_job.name,
    "*/10 * * * *",
    "At 00:00 UTC. Later in the day: the backup that was missed or failed.",
    work_due=backups_due,
)
