"""Texts of one title and labelled lines in a fixed order, which have exactly one form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

NONCE: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class MalformedText(ValueError):
    """The text is not of the expected form; the message says where."""


def compose(title: str, labels: Sequence[str], values: Sequence[str]) -> str:
    """Return the title and one line per label, without a final newline."""
    lines = (f"{label}: {value}" for label, value in zip(labels, values, strict=True))
    return "\n".join((title, *lines))


def read_lines(message: str, title: str, labels: Sequence[str]) -> dict[str, str]:
    """Return the values by their labels.

    The caller composes what it makes of them again and compares it with ``message``.

    Raises:
        MalformedText: It names the line.
    """
    lines = message.split("\n")
    if lines[0] != title:
        raise MalformedText(f"does not begin with the line {title!r}")
    if len(lines) != 1 + len(labels):
        raise MalformedText(f"has {len(lines)} lines instead of {1 + len(labels)}")
    values: dict[str, str] = {}
    for label, line in zip(labels, lines[1:], strict=True):
        prefix = f"{label}: "
        if not line.startswith(prefix):
            raise MalformedText(f"does not have its line {prefix!r} in place")
        values[label] = line[len(prefix) :]
    return values


def written_time(moment: datetime) -> str:
    """Return a time as the texts contain it: UTC, whole seconds, ``2026-11-20T12:00:00Z``."""
    return moment.astimezone(UTC).strftime(_TIME_FORMAT)


def read_time(text: str, name: str) -> datetime:
    """Return the time in ``text``; raise MalformedText naming ``name`` where it is none."""
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except ValueError:
        raise MalformedText(f"its {name} is not a UTC time like 2026-11-20T12:00:00Z") from None
