"""Times, keys, prices and large integers as clients read them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from api.identifiers import base58_key

PRICE_SCALE = 1_000_000_000
_CALENDAR_END = 253_402_300_800


def iso(moment: datetime) -> str:
    """``moment`` as ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def chain_time(seconds: int | None) -> str | None:
    """Chain seconds as ISO 8601; None for "not yet" (0, None) and for what no calendar holds."""
    if not seconds or not 0 < seconds < _CALENDAR_END:
        return None
    return iso(datetime.fromtimestamp(seconds, UTC))


def key_or_none(key: bytes | None) -> str | None:
    """A key in base58; None where there is none or it is all zeros."""
    return base58_key(key) if key and any(key) else None


def fraction(price: int) -> float:
    """A 9-decimal price as a number between 0 and 1."""
    return price / PRICE_SCALE


def exact(row: msgspec.Struct, *fields: str) -> dict[str, str]:
    """These integers of ``row`` as text: JavaScript's numbers end at 2^53."""
    return {field: str(getattr(row, field)) for field in fields}
