"""Times and slots in queries."""

from __future__ import annotations

import re
from datetime import datetime

from api.errors import invalid

_DIGITS = re.compile(r"[0-9]{1,18}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?([Zz]|[+-]\d{2}:?\d{2})")


def number(text: str) -> int | None:
    """Return a slot or Unix seconds written in digits; None where ``text`` is neither."""
    return int(text) if _DIGITS.fullmatch(text) else None


def instant(text: str) -> datetime | None:
    """Return a time of ISO 8601 with its offset; None where ``text`` is none."""
    # A plus sign that was not encoded arrives as a space.
    text = re.sub(r" (\d{2}:?\d{2})$", r"+\1", text)
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def unix_seconds(text: str, field: str) -> int:
    """Return a time, written as Unix seconds or ISO 8601, in whole seconds rounded up.

    Chain time has whole seconds, so that what happened before the time happened before the result.

    Raises:
        ApiError: 400 naming ``field``.
    """
    seconds = number(text)
    if seconds is not None:
        return seconds
    moment = instant(text)
    if moment is None:
        raise invalid(field, "must be Unix seconds, or ISO 8601 with an offset: 2026-11-20T08:00Z")
    return int(moment.timestamp()) + (moment.microsecond > 0)
