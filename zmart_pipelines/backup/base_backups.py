"""Base backups: copies of a cluster's files, verified against their checksums."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from zmart_pipelines.backup.client_programs import run
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.names import backup_name
from zmart_pipelines.backup.wal_archive import BASE_RECORD, WalArchive
from zmart_pipelines.backup.wal_names import PARTIAL, BaseBackup, segment_of

_MANIFEST: Final = "backup_manifest"
ARCHIVE: Final = "base.tar.gz"
_CHUNK: Final = 1024 * 1024


def take_base_backup(
    archive: WalArchive, programs: Path, url: str, clock: Callable[[], datetime]
) -> BaseBackup:
    """Copy the cluster's files into the archive and verify the copy.

    The log that the copy needs comes from the archive.

    Args:
        archive: Receives the log at the same time.
        programs: Folder of ``pg_basebackup``.
        url: A login with REPLICATION.
        clock: Returns the time.

    Raises:
        BackupError: A program failed.
    """
    began = clock()
    name = backup_name(began)
    folder = archive.base / f"{name}{PARTIAL}"
    for left in archive.base.glob(f"*{PARTIAL}"):
        shutil.rmtree(left)
    run(
        [
            *(programs / "pg_basebackup", "--pgdata", folder, "--format=tar"),
            *("--compress=client-gzip:1", "--wal-method=none", "--checkpoint=fast"),
            *("--no-password", "--label=zmart", "--manifest-checksums=SHA256"),
        ],
        url,
    )
    verify_copy(folder)
    for path in folder.iterdir():
        path.chmod(0o600)
    base = BaseBackup(name, began, clock(), _first_segment(folder / _MANIFEST))
    (folder / BASE_RECORD).touch(mode=0o600)
    (folder / BASE_RECORD).write_bytes(msgspec.json.encode(base))
    folder.rename(archive.base / name)
    return base


def verify_copy(folder: Path) -> None:
    """Compare every file of a copy with the checksum that the server computed.

    ``pg_verifybackup`` of the installed package crashes on archives.

    Raises:
        BackupError: A file is missing, damaged, or not in the manifest.
    """
    listed: list[dict[str, Any]] = msgspec.json.decode((folder / _MANIFEST).read_bytes())["Files"]
    expected = {str(one["Path"]): str(one["Checksum"]) for one in listed if "Path" in one}
    with tarfile.open(folder / ARCHIVE, mode="r|gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            if file is None or member.name in _NOT_LISTED:
                continue
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            if expected.pop(member.name, None) != digest.hexdigest():
                raise BackupError(f"{member.name} of base backup {folder.name} is damaged")
    if expected:
        raise BackupError(f"base backup {folder.name} lacks {min(expected)}")


# What the server makes for the copy alone.
_NOT_LISTED: Final = frozenset({"backup_manifest"})


def _first_segment(manifest: Path) -> str:
    ranges: list[dict[str, Any]] = msgspec.json.decode(manifest.read_bytes())["WAL-Ranges"]
    return min(segment_of(int(one["Timeline"]), str(one["Start-LSN"])) for one in ranges)
