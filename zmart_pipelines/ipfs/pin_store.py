"""Stores of pinned blocks: the interface, and a local folder.

Every store computes the CID before writing and checks it when reading, so that pinning is
idempotent and wrong bytes are never returned.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Protocol, runtime_checkable

from zmart_pipelines.ipfs.cid import cid_v0, is_cid_v0


class PinError(Exception):
    """The store failed; a later attempt may succeed unless the text says otherwise."""


class PinNotFound(PinError):
    """The store does not hold this CID."""


def folder_error(folder: Path, error: OSError) -> PinError:
    """Return the PinError for a folder that cannot be used; it names the remedy."""
    remedy = _REMEDIES.get(error.errno or 0, "see that the folder is there and can be written")
    return PinError(f"{folder}: {error.strerror or error}; {remedy}")


_REMEDIES = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "raise the quota of its owner, or free space",
    errno.EROFS: "mount its disk for writing",
    errno.EACCES: "give it to the account that runs zmart, mode 0700",
    errno.EPERM: "give it to the account that runs zmart, mode 0700",
    errno.ENOTDIR: "remove the file that is in its place",
    errno.EEXIST: "remove the file that is in its place",
    errno.EMFILE: "raise the limit of open files",
    errno.EIO: "its disk is failing: restore the state folder on another one",
}


@runtime_checkable
class PinStore(Protocol):
    """Keeps blocks of at most 262,144 bytes under their CIDv0."""

    def pin(self, data: bytes) -> str:
        """Store ``data`` and return its CIDv0. Pinning again changes nothing."""
        ...

    def get(self, cid: str) -> bytes:
        """Return the bytes of ``cid``, checked against it, or raise :class:`PinNotFound`."""
        ...

    def fetch_back(self, cid: str) -> bytes:
        """Return the bytes of ``cid`` from where it was pinned, whatever is kept nearer.

        Raises:
            PinError: They cannot be read, or are others.
        """
        ...

    def unpin(self, cid: str) -> None:
        """Keep ``cid`` no longer. Unpinning what is not there changes nothing."""
        ...

    def used_bytes(self) -> int:
        """Return the size of everything that is pinned, or raise :class:`PinError`."""
        ...


class LocalPinStore:
    """Blocks as files of a 0700 folder, each named by its CID, each written atomically."""

    def __init__(self, folder: Path) -> None:
        """Choose the folder; it is created when the first block is pinned."""
        self._folder = folder

    def pin(self, data: bytes) -> str:
        """Write the block unless it exists; it is on disk when this returns.

        Raises:
            PinError: the folder cannot be written; the text names the remedy.
        """
        cid = cid_v0(data)
        try:
            self._write(cid, data)
        except OSError as error:
            raise folder_error(self._folder, error) from error
        return cid

    def _write(self, cid: str, data: bytes) -> None:
        target = self._folder / cid
        if target.exists() and target.read_bytes() == data:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        # A reader sees the whole block or none, also after a power failure.
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".pin-")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(self._folder)

    def get(self, cid: str) -> bytes:
        """Return the block's bytes; :class:`PinError` when its file is unreadable or changed."""
        if not is_cid_v0(cid):
            raise PinError(f"{cid[:64]!r} is not a CIDv0")
        try:
            data = (self._folder / cid).read_bytes()
        except FileNotFoundError:
            raise PinNotFound(f"{cid} is not in the local store") from None
        except OSError as error:
            raise folder_error(self._folder, error) from error
        if cid_v0(data) != cid:
            raise PinError(f"the local store's file for {cid} holds other bytes; remove it")
        return data

    def fetch_back(self, cid: str) -> bytes:
        """Return the block's bytes, as ``get`` does."""
        return self.get(cid)

    def unpin(self, cid: str) -> None:
        """Remove the block's file; :class:`PinError` when the folder cannot be written."""
        if not is_cid_v0(cid):
            raise PinError(f"{cid[:64]!r} is not a CIDv0")
        try:
            (self._folder / cid).unlink(missing_ok=True)
        except OSError as error:
            raise folder_error(self._folder, error) from error

    def used_bytes(self) -> int:
        """Return the size of the folder's files; a folder that is not there yet holds nothing."""
        try:
            with os.scandir(self._folder) as entries:
                return sum(_size(entry) for entry in entries)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise folder_error(self._folder, error) from error


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:  # unpinned, or renamed to its CID, meanwhile
        return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
