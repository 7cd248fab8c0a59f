"""The files that are pinned in the local store, as one archive.

With Pinata they are there as well; a backup contains what this machine has.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import IO

from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.ipfs.cid import cid_v0, is_cid_v0
from zmart_pipelines.ipfs.pin_store import LocalPinStore


def pinned_cids(folder: Path) -> tuple[str, ...]:
    """Return the CIDs of the files in the folder, in order."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if is_cid_v0(path.name)))


def write_archive(folder: Path, cids: tuple[str, ...], archive: IO[bytes]) -> tuple[str, ...]:
    """Write the files, and return the CIDs of those that were still there."""
    written = []
    with tarfile.open(fileobj=archive, mode="w|") as tar:
        for cid in cids:
            try:
                tar.add(folder / cid, arcname=cid, recursive=False)
            except FileNotFoundError:
                continue  # unpinned since
            written.append(cid)
    return tuple(written)


def read_archive(archive: IO[bytes]) -> dict[str, bytes]:
    """Return the files of an archive by their CIDs.

    Raises:
        BackupError: A file does not have the CID that it is stored under.
    """
    found = {}
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is None or not is_cid_v0(member.name):
                raise BackupError(f"the archive of pinned files holds {member.name[:64]!r}")
            data = file.read()
            if cid_v0(data) != member.name:
                raise BackupError(f"the backup's file {member.name} holds other bytes")
            found[member.name] = data
    return found


def restore_files(store: LocalPinStore, files: dict[str, bytes]) -> None:
    """Put the files into the local store; those that are there stay."""
    for data in files.values():
        store.pin(data)
