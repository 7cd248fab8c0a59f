"""One log file per child, bounded in size, with a reader for what is new."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

MAX_BYTES = 20 * 1024 * 1024


class LogFile:
    """``NAME.log`` and, once it grew too large, the part before as ``NAME.log.1``."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._read = self.size()
        self._partial = b""

    def open(self) -> IO[bytes]:
        """The file for a child's output. Appending, so that it may be cut while in use."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path.open("ab", buffering=0)

    def rotate(self) -> None:
        """Keep the file within its bound; the child goes on writing into the same file."""
        if not self.path.exists() or self.path.stat().st_size <= self._max_bytes:
            return
        shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
        with self.path.open("r+b") as file:
            file.truncate(0)
        self._read = 0

    def new_lines(self) -> list[str]:
        """The complete lines written since the last call (or since this object was made)."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            chunk = file.read()
        self._read += len(chunk)
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def tail(self, count: int, since: int = 0) -> list[str]:
        """The last lines that are not blank, of those behind byte ``since``."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, since if since <= size else 0, size - 64 * 1024))
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-count:]
