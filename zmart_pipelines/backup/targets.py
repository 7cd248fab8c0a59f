"""Where backups are kept: a folder, or a bucket of an S3-compatible store.

A target holds files under ``NAME/FILE``. Files of a folder have mode 0600, its folders 0700.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.settings import Settings


class Target(Protocol):
    """Keeps the files of backups."""

    @property
    def label(self) -> str:
        """The target as a URL, without secrets."""
        ...

    def files(self) -> dict[str, set[str]]:
        """Return the names of files by the name of their backup."""
        ...

    def put(self, backup: str, name: str, source: Path) -> None:
        """Store a file. When this returns, it is there as a whole."""
        ...

    def fetch(self, backup: str, name: str, target: Path) -> None:
        """Copy a file to a path of this machine, with mode 0600."""
        ...

    def delete(self, backup: str) -> None:
        """Delete all files of a backup."""
        ...


def private_file(path: Path) -> IO[bytes]:
    """Open a new file for writing that its owner alone can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")


class FolderTarget:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, folder: Path) -> None:
        """Choose the folder; it is created with the first backup."""
        self._folder = folder

    @property
    def label(self) -> str:
        """The folder as a URL."""
        return self._folder.absolute().as_uri()

    def files(self) -> dict[str, set[str]]:
        """Return the files that are complete."""
        if not self._folder.is_dir():
            return {}
        return {
            backup.name: {file.name for file in backup.iterdir() if not file.name.startswith(".")}
            for backup in self._folder.iterdir()
            if backup.is_dir()
        }

    def put(self, backup: str, name: str, source: Path) -> None:
        """Copy the file beside its place, then move it there."""
        with _folder_faults(self._folder):
            folder = self._folder / backup
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = folder / f".{name}.partial"
            with source.open("rb") as read, private_file(partial) as written:
                shutil.copyfileobj(read, written)
                written.flush()
                os.fsync(written.fileno())
            partial.replace(folder / name)

    def fetch(self, backup: str, name: str, target: Path) -> None:
        """Copy the file."""
        with (
            _folder_faults(self._folder),
            (self._folder / backup / name).open("rb") as read,
            private_file(target) as written,
        ):
            shutil.copyfileobj(read, written)

    def delete(self, backup: str) -> None:
        """Delete the backup's folder."""
        with _folder_faults(self._folder):
            shutil.rmtree(self._folder / backup)


@contextmanager
def _folder_faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupError(
            f"{error.filename or folder}: {error.strerror or error}; BACKUP_TARGET must be a folder"
            " that zmart can read and write, with space"
        ) from error


class S3Target:
    """A prefix of a bucket. The store encrypts in transit; its own rules decide who reads it."""

    def __init__(self, settings: Settings, bucket: str, prefix: str) -> None:
        """Choose bucket and prefix; nothing is read yet."""
        self._label = f"s3://{bucket}/{prefix}".rstrip("/")
        endpoint = settings.backup_s3_endpoint
        secret = settings.backup_s3_secret_access_key
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            region=settings.backup_s3_region,
            endpoint=endpoint,
            access_key_id=settings.backup_s3_access_key_id,
            secret_access_key=None if secret is None else secret.get_secret_value(),
            virtual_hosted_style_request=endpoint is None,
            client_options={"allow_http": endpoint is not None and endpoint.startswith("http:")},
        )

    @property
    def label(self) -> str:
        """Bucket and prefix as a URL."""
        return self._label

    def files(self) -> dict[str, set[str]]:
        """List the prefix."""
        found: dict[str, set[str]] = {}
        with self._faults():
            for page in obstore.list(self._store):
                for item in page:
                    backup, _, name = item["path"].partition("/")
                    found.setdefault(backup, set()).add(name)
        return found

    def put(self, backup: str, name: str, source: Path) -> None:
        """Upload the file, in parts if it is large."""
        with self._faults():
            obstore.put(self._store, f"{backup}/{name}", source)

    def fetch(self, backup: str, name: str, target: Path) -> None:
        """Download the file."""
        with self._faults(), private_file(target) as written:
            for chunk in obstore.get(self._store, f"{backup}/{name}").stream():
                written.write(chunk)

    def delete(self, backup: str) -> None:
        """Delete everything under the backup's name."""
        with self._faults():
            paths = [
                item["path"]
                for page in obstore.list(self._store, prefix=backup)
                for item in page
                if item["path"].startswith(f"{backup}/")
            ]
            obstore.delete(self._store, paths)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:  # what is not found is an OSError
            text = " ".join(str(error).split())
            raise BackupError(
                f"{self._label}: {text[:300]}; check BACKUP_TARGET and BACKUP_S3_…"
            ) from error


def configured_target(settings: Settings) -> Target:
    """Return the target of the settings: ``backups/`` in the state folder, if none is set."""
    if settings.backup_target is None:
        return FolderTarget(settings.zmart_state.absolute() / "backups")
    url = urlsplit(settings.backup_target)
    if url.scheme == "file":
        return FolderTarget(Path(unquote(url.path)))
    return S3Target(settings, url.netloc, unquote(url.path).strip("/"))
