"""The backups of a target: listed, read, written, and deleted past their retention."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import msgspec

from zmart_pipelines.backup import manifest as manifests
from zmart_pipelines.backup.encryption import Cipher
from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.manifest import Manifest, StoredFile, UnreadableManifest
from zmart_pipelines.backup.names import (
    ENCRYPTED_SUFFIX,
    MANIFEST,
    VERIFIED,
    is_backup_name,
    taken_at,
)
from zmart_pipelines.backup.retention import StoredBackup, expired
from zmart_pipelines.backup.targets import Target, configured_target, private_file
from zmart_pipelines.settings import Settings


class Verification(msgspec.Struct, frozen=True):
    """That a backup was restored and had the content of its manifest."""

    verified_at: datetime
    tables: int
    rows: int


class BackupStore:
    """A target, the key of its backups, and a folder for files on their way."""

    def __init__(self, target: Target, cipher: Cipher, work: Path) -> None:
        """Take the parts; ``work`` must exist."""
        self.target = target
        self.cipher = cipher
        self._work = work

    def add(self, backup: str, name: str, write: Callable[[IO[bytes]], object]) -> StoredFile:
        """Store a file, encrypted if there is a key, and return its size and hash.

        Args:
            write: Writes the stored bytes; it encrypts, if there is a key, by ``cipher``.
        """
        path = self._work / name
        try:
            with private_file(path) as file:
                write(file)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            stored = StoredFile(path.stat().st_size, digest)
            self.target.put(backup, self._stored_name(name), path)
        finally:
            path.unlink(missing_ok=True)
        return stored

    def _stored_name(self, name: str) -> str:
        return f"{name}{ENCRYPTED_SUFFIX}" if self.cipher.encrypts else name

    def backups(self) -> list[StoredBackup]:
        """Return the backups, oldest first."""
        found = []
        for name, files in self.target.files().items():
            if is_backup_name(name):
                complete = bool(files & {MANIFEST, MANIFEST + ENCRYPTED_SUFFIX})
                found.append(StoredBackup(name, taken_at(name), complete, VERIFIED in files))
        return sorted(found, key=lambda one: one.taken_at)

    def manifest(self, backup: str) -> Manifest:
        """Return the manifest of a backup.

        Raises:
            BackupError: There is none, or it cannot be read.
        """
        files = self.target.files().get(backup, set())
        name = next((one for one in (MANIFEST, MANIFEST + ENCRYPTED_SUFFIX) if one in files), None)
        if name is None:
            raise BackupError(f"{self.target.label} has no complete backup {backup}")
        with self._local_copy(backup, name) as path:
            clear = path.with_suffix(".clear")
            with path.open("rb") as source, private_file(clear) as target:
                self.cipher.decrypt(source, target, encrypted=name.endswith(ENCRYPTED_SUFFIX))
            data = clear.read_bytes()
        try:
            manifest = manifests.decode(data)
        except UnreadableManifest as error:
            raise BackupError(f"backup {backup}: {error}") from error
        if manifest.name != backup:
            raise BackupError(f"backup {backup} has the manifest of {manifest.name}")
        return manifest

    @contextmanager
    def open(self, manifest: Manifest, name: str) -> Iterator[IO[bytes]]:
        """Yield a file of a backup as it is stored, after comparing its hash with the manifest's.

        Raises:
            BackupError: The file is missing or another one.
        """
        stored = f"{name}{ENCRYPTED_SUFFIX}" if manifest.encrypted else name
        with self._local_copy(manifest.name, stored) as path, path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest.files[name].sha256:
                raise BackupError(f"{stored} of backup {manifest.name} is damaged")
            file.seek(0)
            yield file

    def mark_verified(self, backup: str, verification: Verification) -> None:
        """Record at the target that the backup is good."""
        path = self._work / VERIFIED
        path.write_bytes(msgspec.json.encode(verification))
        try:
            self.target.put(backup, VERIFIED, path)
        finally:
            path.unlink()

    def delete_expired(self, now: datetime, keep_days: int) -> list[StoredBackup]:
        """Delete the backups that are past their retention, and return them."""
        past = expired(self.backups(), now, keep_days)
        for one in past:
            self.target.delete(one.name)
        return past

    @contextmanager
    def _local_copy(self, backup: str, name: str) -> Iterator[Path]:
        path = self._work / f"{backup}-{name}"
        try:
            self.target.fetch(backup, name, path)
            yield path
        finally:
            for one in (path, path.with_suffix(".clear")):
                one.unlink(missing_ok=True)


@contextmanager
def open_store(settings: Settings) -> Iterator[BackupStore]:
    """Yield the backups of the settings' target.

    Raises:
        BackupError: BACKUP_KEY is no key.
    """
    cipher = Cipher(settings.backup_key)
    with TemporaryDirectory(prefix="zmart-backup-") as work:
        yield BackupStore(configured_target(settings), cipher, Path(work))
