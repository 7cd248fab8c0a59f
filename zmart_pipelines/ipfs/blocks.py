"""Reading blocks that others keep: files that somebody handed over, or an IPFS gateway.

Whatever the source says, a block is what its CID says.
"""

from __future__ import annotations

from pathlib import Path

import httpx

from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0, is_cid_v0
from zmart_pipelines.ipfs.pin_store import PinError, PinNotFound


class FileBlocks:
    """A file, or all files of a folder, each a block. Their names do not matter."""

    def __init__(self, path: Path) -> None:
        """PinError where there is nothing to read."""
        self._path = path
        try:
            files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else []
            self.blocks = {
                cid_v0(data): data
                for file in files or [path]
                if len(data := _read(file)) <= MAX_BLOCK
            }
        except OSError as error:
            raise PinError(f"{path}: cannot be read ({error.strerror})") from None

    def get(self, cid: str) -> bytes:
        """The block of that CID; PinNotFound where no file holds its bytes."""
        if cid not in self.blocks:
            raise PinNotFound(f"no file of {self._path} holds the bytes of {cid}")
        return self.blocks[cid]


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MAX_BLOCK + 1)


def fetch(gateway: str, cid: str, timeout: float) -> bytes:
    """The block from a gateway, whose address ends in a slash, checked against its CID.

    PinNotFound where the gateway does not know it; PinError otherwise.
    """
    if not is_cid_v0(cid):
        raise PinError(f"{cid[:64]!r} is no CIDv0")
    data = bytearray()
    try:
        with httpx.stream("GET", gateway + cid, timeout=timeout) as answer:
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise PinNotFound(f"the gateway does not know {cid}")
            if answer.status_code != httpx.codes.OK:
                raise PinError(f"the gateway answered {answer.status_code} for {cid}")
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > MAX_BLOCK:
                    raise PinError(f"the gateway sent more than {MAX_BLOCK} bytes for {cid}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PinError(f"the gateway could not be reached: {type(error).__name__}") from None
    if cid_v0(bytes(data)) != cid:
        raise PinError(f"the gateway sent other bytes than those of {cid}")
    return bytes(data)
