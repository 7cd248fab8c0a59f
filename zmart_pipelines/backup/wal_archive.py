"""The archive of the write-ahead log: a folder of this machine.

::

    wal/
      SYSTEM/            identifier of the Postgres cluster
        incoming/        what pg_receivewal writes
        segments/        files of the log that are complete, compressed
        base/NAME/       base backups: base.tar.gz, backup_manifest, base.json

Folders have mode 0700 and files 0600.
"""

from __future__ import annotations

import gzip
import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from zmart_pipelines.backup.targets import private_file
from zmart_pipelines.backup.wal_names import (
    COMPRESSED,
    PARTIAL,
    BaseBackup,
    files_from,
    is_complete,
    log_file,
    unneeded_bases,
    unneeded_files,
)
from zmart_pipelines.settings import Settings

BASE_RECORD: Final = "base.json"
_LEVEL: Final = 1  # what is unused of a segment is zeros, which any level removes


@dataclass(frozen=True)
class WalArchive:
    """The archive of one cluster."""

    root: Path

    @property
    def incoming(self) -> Path:
        """Folder of ``pg_receivewal``."""
        return self.root / "incoming"

    @property
    def segments(self) -> Path:
        """Folder of the files that are complete."""
        return self.root / "segments"

    @property
    def base(self) -> Path:
        """Folder of the base backups."""
        return self.root / "base"

    def prepare(self) -> None:
        """Create the folders."""
        for folder in (self.root, self.incoming, self.segments, self.base):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def store_complete(self) -> int:
        """Compress the complete files of ``incoming`` into ``segments``; return how many."""
        found = [path for path in sorted(self.incoming.iterdir()) if is_complete(path.name)]
        for path in found:
            self._store(path, path.name)
        return len(found)

    def store_everything(self) -> None:
        """Empty ``incoming``: what is there precedes what will be received next."""
        for path in sorted(self.incoming.iterdir()):
            if log_file(path.name) is not None:
                self._store(path, path.name)
            else:
                path.unlink()

    def _store(self, path: Path, name: str) -> None:
        partial = self.segments / f".{name}{COMPRESSED}"
        with (
            path.open("rb") as source,
            private_file(partial) as target,
            gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=_LEVEL) as packed,
        ):
            shutil.copyfileobj(source, packed, 1024 * 1024)
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(self.segments / f"{name}{COMPRESSED}")
        path.unlink()

    def bases(self) -> list[BaseBackup]:
        """Return the base backups that are complete, oldest first."""
        found = [
            msgspec.json.decode(record.read_bytes(), type=BaseBackup)
            for record in self.base.glob(f"*/{BASE_RECORD}")
            if not record.parent.name.endswith(PARTIAL)
        ]
        return sorted(found, key=lambda one: one.finished_at)

    def prune(self, now: datetime, keep_days: int) -> int:
        """Delete what no time of the last days needs; return how many files of the log."""
        for base in unneeded_bases(self.bases(), now - timedelta(days=keep_days)):
            shutil.rmtree(self.base / base.name)
        names = [path.name for path in self.segments.iterdir()]
        past = unneeded_files(names, self.bases())
        for name in past:
            (self.segments / name).unlink()
        return len(past)

    def stage(self, first_segment: str, folder: Path) -> list[str]:
        """Copy, unpacked, what a replay from this segment may ask for; return the names."""
        sources = {path.name: path for path in (*_files(self.segments), *_files(self.incoming))}
        staged = []
        for name in files_from(sources, first_segment):
            plain = log_file(name)
            if plain is None:
                continue
            opened = gzip.open if name.endswith(COMPRESSED) else open
            with opened(sources[name], "rb") as source, private_file(folder / plain) as target:
                shutil.copyfileobj(source, target, 1024 * 1024)
            staged.append(plain)
        return staged


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def archives(settings: Settings) -> list[WalArchive]:
    """Return the archives with a base backup, the one with the newest last."""
    root = settings.wal_archive_folder
    if not root.is_dir():
        return []
    found = [WalArchive(path) for path in root.iterdir() if (path / "base").is_dir()]
    return sorted(
        (one for one in found if one.bases()), key=lambda one: one.bases()[-1].finished_at
    )
