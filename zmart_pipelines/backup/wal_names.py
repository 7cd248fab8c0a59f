"""Names of write-ahead log files, and which files and base backups are still needed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

SEGMENT_BYTES: Final = 16 * 1024 * 1024  # of a cluster that initdb makes without an option
_SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
_HISTORY: Final = re.compile(r"[0-9A-F]{8}\.history")
PARTIAL: Final = ".partial"
COMPRESSED: Final = ".gz"


class BaseBackup(msgspec.Struct, frozen=True):
    """A copy of the cluster's files, from which the log is replayed.

    Attributes:
        name: Its folder.
        began_at: When the copy was begun.
        finished_at: When it was complete: the earliest time that it can be brought to.
        first_segment: The log file with which the replay begins.
    """

    name: str
    began_at: datetime
    finished_at: datetime
    first_segment: str


def segment_of(timeline: int, lsn: str) -> str:
    """Return the name of the log file that contains a position, such as ``0/2000028``.

    Raises:
        ValueError: It is no position.
    """
    high, low = (int(part, 16) for part in lsn.split("/"))
    return f"{timeline:08X}{high:08X}{low // SEGMENT_BYTES:08X}"


def log_file(name: str) -> str | None:
    """Return the name that Postgres asks for; None if it is no file of the log.

    The suffixes of files that are compressed, or not complete, are left out.
    """
    plain = name.removesuffix(COMPRESSED).removesuffix(PARTIAL)
    return plain if _SEGMENT.fullmatch(plain) or _HISTORY.fullmatch(plain) else None


def is_complete(name: str) -> bool:
    """Return whether the file of the log will not change any more."""
    return log_file(name) is not None and PARTIAL not in name


def files_from(names: Iterable[str], first_segment: str) -> list[str]:
    """Return the files that a replay from this segment may ask for, of every timeline.

    Where a segment is there as a whole, the part of it is left out.
    """
    listed = list(names)
    whole = {log_file(name) for name in listed if is_complete(name)}
    return sorted(
        name
        for name in listed
        if (plain := log_file(name)) is not None
        and (is_complete(name) or plain not in whole)
        and (_HISTORY.fullmatch(plain) or plain[8:] >= first_segment[8:])
    )


def unneeded_bases(bases: Iterable[BaseBackup], oldest: datetime) -> list[BaseBackup]:
    """Return the base backups without which every time since ``oldest`` can still be restored."""
    ordered = sorted(bases, key=lambda one: one.finished_at)
    before = [one for one in ordered if one.finished_at <= oldest]
    return before[:-1]


def unneeded_files(names: Iterable[str], bases: Iterable[BaseBackup]) -> list[str]:
    """Return the files of the log that precede every base backup; none without base backups."""
    listed, starts = list(names), [one.first_segment[8:] for one in bases]
    if not starts:
        return []
    first = min(starts)
    return sorted(
        name
        for name in listed
        if (plain := log_file(name)) is not None and _SEGMENT.fullmatch(plain) and plain[8:] < first
    )


def base_for(bases: Iterable[BaseBackup], at: datetime | None) -> BaseBackup | None:
    """Return the newest base backup from which ``at`` can be reached; None: the newest of all."""
    usable = [one for one in bases if at is None or one.finished_at <= at]
    return max(usable, key=lambda one: one.finished_at, default=None)
