"""Times and slots in queries and bodies."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from api.errors import invalid
from api.requests import query_rules

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


def utc_time(text: str, field: str) -> datetime:
    """Return a time in UTC.

    A date alone or a time without a zone means another moment to each reader.

    Raises:
        ApiError: 400 naming ``field`` unless the text has a date, a time and an offset.
    """
    moment = instant(text)
    try:
        if moment is not None:
            return moment.astimezone(UTC)
    except OverflowError:
        pass  # the first or the last day of the calendar
    raise invalid(
        field, "must be an ISO 8601 time with a UTC offset, for example 2031-12-31T23:59:59Z"
    )


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


# The rules of the parameters ``from`` and ``to``.
RANGE = (query_rules.parsed(unix_seconds, "from"), query_rules.parsed(unix_seconds, "to"))
