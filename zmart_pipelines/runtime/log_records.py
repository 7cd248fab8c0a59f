"""Records in log files: read from JSON or readable lines, and found by time, level and text. Pure.

A line without a time of its own, such as those of a traceback, belongs to the record before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_READABLE: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) \[(?P<level>\w+)\s*\]"
)
_POSTGRES: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (?:UTC|GMT)\b.*?\b"
    r"(?P<level>LOG|WARNING|ERROR|FATAL|PANIC):"
)
_REDIS: Final = re.compile(
    r"\d+:[A-Z] (?P<time>\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) (?P<level>[.*#-])"
)
_LEVELS_OF_OTHERS: Final = {
    "LOG": "info",
    "WARNING": "warning",
    "ERROR": "error",
    "FATAL": "critical",
    "PANIC": "critical",
    ".": "debug",
    "-": "info",
    "*": "info",
    "#": "warning",
}


class LogRecord(msgspec.Struct):
    """A record of one part.

    Attributes:
        at: Its time; None where none of the lines so far has one.
        level: One of ``LEVELS``; ``info`` where the line names none.
        lines: Its lines.
    """

    part: str
    at: datetime | None
    level: str
    lines: list[str]

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)


class Query(msgspec.Struct, frozen=True):
    """What records are wanted.

    Attributes:
        since: No earlier ones; those without a time are wanted only without it.
        level: No less severe ones.
        pattern: Is found in the record.
    """

    since: datetime | None = None
    level: str = "debug"
    pattern: re.Pattern[str] | None = None

    def matches(self, record: LogRecord) -> bool:
        """Return whether a record is wanted."""
        if self.since is not None and (record.at is None or record.at < self.since):
            return False
        if LEVELS.index(record.level) < LEVELS.index(self.level):
            return False
        return self.pattern is None or self.pattern.search(record.text) is not None


def records(part: str, lines: Iterable[str]) -> Iterator[LogRecord]:
    """Yield the records in the lines of a part's log."""
    current: LogRecord | None = None
    for line in lines:
        head = _head(line)
        if head is None and current is not None:
            current.lines.append(line)
            continue
        if current is not None:
            yield current
        at, level = head or (None, "info")
        current = LogRecord(part, at, level, [line])
    if current is not None:
        yield current


def _head(line: str) -> tuple[datetime, str] | None:
    """Return time and level of a line that begins a record."""
    if line.startswith("{"):
        return _json_head(line)
    if (found := _READABLE.match(line)) is not None:
        return datetime.fromisoformat(found["time"]), _known(found["level"])
    if (found := _POSTGRES.match(line)) is not None:
        at = datetime.fromisoformat(found["time"]).replace(tzinfo=UTC)
        return at, _LEVELS_OF_OTHERS[found["level"]]
    if (found := _REDIS.match(line)) is not None:
        at = datetime.strptime(found["time"], "%d %b %Y %H:%M:%S.%f").astimezone(UTC)
        return at, _LEVELS_OF_OTHERS[found["level"]]
    return None


def _json_head(line: str) -> tuple[datetime, str] | None:
    try:
        found = json.loads(line)
        at = datetime.fromisoformat(found["timestamp"])
    except (ValueError, KeyError, TypeError):
        return None
    return at, _known(found.get("level"))


def _known(level: object) -> str:
    return level if isinstance(level, str) and level in LEVELS else "info"
