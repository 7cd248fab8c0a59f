"""Stores of pinned blocks: the interface, and a local folder.

Every store computes the CID before writing and checks it when reading, so that pinning is
idempotent and wrong bytes are never returned.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Protocol, runtime_checkable

from zmart_pipelines.ipfs.cid import cid_v0, is_cid_v0


class PinError(Exception):
    """The store failed; a later attempt may succeed unless the text says otherwise."""


class PinNotFound(PinError):
    """The store does not hold this CID."""


@runtime_checkable
class PinStore(Protocol):
    """Keeps blocks of at most 262,144 bytes under their CIDv0."""

    def pin(self, data: bytes) -> str:
        """Store ``data`` and return its CIDv0. Pinning again changes nothing."""
        ...

    def get(self, cid: str) -> bytes:
        """Return the bytes of ``cid``, checked against it, or raise :class:`PinNotFound`."""
        ...


class LocalPinStore:
    """Blocks as files of a 0700 folder, each named by its CID, each written atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def pin(self, data: bytes) -> str:
        """Write the block unless it exists; it is on disk when this returns."""
        cid = cid_v0(data)
        target = self._folder / cid
        if target.exists() and target.read_bytes() == data:
            return cid
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
        return cid

    def get(self, cid: str) -> bytes:
        """Return the block's bytes; :class:`PinError` when the file was tampered with."""
        if not is_cid_v0(cid):
            raise PinError(f"{cid[:64]!r} is not a CIDv0")
        try:
            data = (self._folder / cid).read_bytes()
        except FileNotFoundError:
            raise PinNotFound(f"{cid} is not in the local store") from None
        if cid_v0(data) != cid:
            raise PinError(f"the local store's file for {cid} holds other bytes; remove it")
        return data


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
