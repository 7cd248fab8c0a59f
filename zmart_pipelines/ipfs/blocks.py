"""Reading of blocks from local files or from an IPFS gateway.

Whatever the source is, the bytes are checked against the CID.
"""

from __future__ import annotations

from pathlib import Path

import httpx

from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0, is_cid_v0
from zmart_pipelines.ipfs.pin_store import PinError, PinNotFound


class FileBlocks:
    """A file, or all files of a folder, each holding one block. Their names do not matter."""

    def __init__(self, path: Path) -> None:
        """Read the file or folder, or raise PinError."""
        self._path = path
        try:
            files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else []
            self.blocks = {
                cid_v0(data): data
                for file in sorted(files) or [path]
                if len(data := _read(file)) <= MAX_BLOCK
            }
        except OSError as error:
            raise PinError(f"{path}: cannot be read ({error.strerror})") from None

    def get(self, cid: str) -> bytes:
        """Return the block of that CID, or raise PinNotFound."""
        if cid not in self.blocks:
            raise PinNotFound(f"no file of {self._path} holds the bytes of {cid}")
        return self.blocks[cid]


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MAX_BLOCK + 1)


def fetch(gateway: str, cid: str, timeout: float) -> bytes:
    """Return the block from a gateway, checked against its CID.

    Args:
        gateway: URL prefix that ends in a slash.
        timeout: seconds.

    Raises:
        PinNotFound: the gateway does not know the block.
        PinError: any other failure.
    """
    if not is_cid_v0(cid):
        raise PinError(f"{cid[:64]!r} is not a CIDv0")
    try:
        with httpx.stream("GET", gateway + cid, timeout=timeout) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                raise PinNotFound(f"the gateway does not know {cid}")
            if response.status_code != httpx.codes.OK:
                raise PinError(f"the gateway responded with {response.status_code} for {cid}")
            data = _body(response, cid)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PinError(f"the gateway could not be reached: {type(error).__name__}") from None
    if cid_v0(data) != cid:
        raise PinError(f"the gateway sent other bytes than those of {cid}")
    return data


def _body(response: httpx.Response, cid: str) -> bytes:
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > MAX_BLOCK:
            raise PinError(f"the gateway sent more than {MAX_BLOCK} bytes for {cid}")
    return bytes(data)
