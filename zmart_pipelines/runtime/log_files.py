"""One log file per supervised process, bounded in size, with a reader for new lines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

from zmart_pipelines.runtime.state_folder import private_opener

MAX_BYTES = 20 * 1024 * 1024


class LogFile:
    """``NAME.log`` and, after a rotation, its earlier part as ``NAME.log.1``."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._read = self.size()
        self._partial = b""

    def open(self) -> IO[bytes]:
        """Open the file for a process's output; appending, so that it can be truncated in use."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return open(self.path, "ab", buffering=0, opener=private_opener)

    def rotate(self) -> None:
        """Truncate the file when it exceeds its bound; the process keeps writing to it."""
        if not self.path.exists() or self.path.stat().st_size <= self._max_bytes:
            return
        shutil.copy(self.path, self.path.with_name(f"{self.path.name}.1"))  # with its mode
        with self.path.open("r+b") as file:
            file.truncate(0)
        self._read = 0

    def new_lines(self) -> list[str]:
        """Return the complete lines written since the last call or this object's creation."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            chunk = file.read()
        self._read += len(chunk)
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def size(self) -> int:
        """Return the size in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def tail(self, count: int, since: int = 0) -> list[str]:
        """Return up to ``count`` last non-blank lines after the byte offset ``since``."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, since if since <= size else 0, size - 64 * 1024))
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-count:]
