"""The log files of a supervised process, bounded in size and age, with a reader for new lines."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

import msgspec

from zmart_pipelines.runtime.state_folder import private_opener

# Of the moment of the rotation; such names sort by time.
_STAMP: Final = "%Y%m%dT%H%M%SZ"


class Retention(msgspec.Struct, frozen=True):
    """When a log file is rotated, and how long what it held is kept.

    Attributes:
        max_bytes: Size above which a file is rotated; it also is when a day (UTC) has begun.
        keep_days: Days for which the earlier files are kept.
        keep_files: How many of them are kept at most.
    """

    max_bytes: int = 20 * 1024 * 1024
    keep_days: int = 30
    keep_files: int = 40


class LogFile:
    """``NAME.log`` and, after rotations, what it held before as ``NAME.log.<time>``."""

    def __init__(self, path: Path, retention: Retention | None = None) -> None:
        self.path = path
        self._retention = retention or Retention()
        self._read = self.size()
        self._partial = b""
        # The day of the lines that the file begins with; of an earlier run it has the last one's.
        self._day = _changed_at(path).date() if path.exists() else None

    def open(self) -> IO[bytes]:
        """Open the file for a process's output; appending, so that it can be truncated in use."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return open(self.path, "ab", buffering=0, opener=private_opener)

    def rotate(self, now: datetime | None = None) -> None:
        """Start the file over where it is too large or of an earlier day; drop what is too old.

        The process keeps writing to the same file. A line that it writes in the moment between
        the copy and the truncation is lost.
        """
        moment = now or datetime.now(UTC)
        if self._day is None:
            self._day = moment.date()
        if self.size() > self._retention.max_bytes or (self.size() and self._day < moment.date()):
            copy = self.path.with_name(f"{self.path.name}.{moment.strftime(_STAMP)}")
            shutil.copy(self.path, copy)  # with its mode
            with self.path.open("r+b") as file:
                file.truncate(0)
            self._read = 0
            self._day = moment.date()
        self._drop_old(moment)

    def _drop_old(self, now: datetime) -> None:
        earlier = earlier_files(self.path)
        oldest = now - timedelta(days=self._retention.keep_days)
        surplus = len(earlier) - self._retention.keep_files
        for number, path in enumerate(earlier):
            if number < surplus or _rotated_at(path) < oldest:
                path.unlink(missing_ok=True)

    def new_lines(self) -> list[str]:
        """Return the complete lines written since the last call or this object's creation."""
        if not self.path.exists():
            return []
        if self.size() < self._read:
            self._read = 0  # it was rotated by another process
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


def earlier_files(path: Path) -> list[Path]:
    """Return the rotated files of a log, the oldest first."""
    return sorted(one for one in path.parent.glob(f"{path.name}.*") if one.suffix.endswith("Z"))


def _rotated_at(path: Path) -> datetime:
    return datetime.strptime(path.suffix.removeprefix("."), _STAMP).replace(tzinfo=UTC)


def _changed_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
