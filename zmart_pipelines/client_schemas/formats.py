"""Formats that clients read: times, base58 keys, prices and large integers."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias, cast, get_type_hints

import msgspec
from msgspec import Meta
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.program.accounts import MarketState

PRICE_SCALE: Final = 1_000_000_000
# The first second that Python's calendar does not hold: 10000-01-01.
_CALENDAR_END: Final = 253_402_300_800
_LARGE: Final = "may exceed 2^53"

LargeInt: TypeAlias = Annotated[int, Meta(extra={_LARGE: True})]
"""An integer that may exceed 2^53, which JavaScript's numbers round."""

StateName: TypeAlias = Literal[
    "PROPOSED", "APPROVED", "ACTIVE", "RESOLVING", "DISPUTED", "FINALIZED", "CANCELLED"
]
"""The program's words for a market's states."""


def state_name(code: int) -> StateName:
    """Return the program's word for the number of a market's state."""
    return cast(StateName, MarketState(code).name)


def iso8601(moment: datetime) -> str:
    """Return ``moment`` as ISO 8601 in UTC with milliseconds and ``Z``."""
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def iso8601_or_none(moment: datetime | None) -> str | None:
    """Return ``moment`` as ISO 8601; None where there is none."""
    return None if moment is None else iso8601(moment)


# Seconds and wallets recur, within a batch above all.
@lru_cache(maxsize=4096)
def chain_time(seconds: int | None) -> str | None:
    """Return chain seconds as ISO 8601.

    None stands for a time that the chain has not set (0 or None) and for one outside the
    calendar.
    """
    if not seconds or not 0 < seconds < _CALENDAR_END:
        return None
    return iso8601(datetime.fromtimestamp(seconds, UTC))


def clamped_chain_time(seconds: int) -> datetime:
    """Return chain seconds as a datetime, moved into the calendar where they lie outside."""
    return datetime.fromtimestamp(min(max(seconds, 0), _CALENDAR_END - 1), UTC)


def as_of(seconds: int) -> str:
    """Return the chain seconds to which a figure belongs as ISO 8601; ``as_of`` is never null."""
    return iso8601(clamped_chain_time(seconds))


@lru_cache(maxsize=65_536)
def base58_key(key: bytes) -> str:
    """Return a 32-byte key in base58."""
    return str(Pubkey.from_bytes(key))


def base58_key_or_none(key: bytes | None) -> str | None:
    """Return a 32-byte key in base58; None where it is absent or all zeros."""
    return base58_key(key) if key and any(key) else None


def base58_signature(signature: bytes) -> str:
    """Return a 64-byte signature in base58."""
    return str(Signature.from_bytes(signature))


def price_fraction(price: int) -> float:
    """Return a 9-decimal price as a number between 0 and 1, for display."""
    return price / PRICE_SCALE


@cache
def large_integer_fields(schema: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """Return the attribute and the JSON name of each ``LargeInt`` field of ``schema``."""
    hints = get_type_hints(schema, include_extras=True)
    names = zip(schema.__struct_fields__, schema.__struct_encode_fields__, strict=True)
    return tuple((name, encoded) for name, encoded in names if _is_large(hints[name]))


def _is_large(hint: Any) -> bool:
    return any(
        isinstance(item, Meta) and item.extra is not None and _LARGE in item.extra
        for item in getattr(hint, "__metadata__", ())
    )


class ExactIntegers(msgspec.Struct, frozen=True, kw_only=True):
    """A schema that repeats each of its ``LargeInt`` fields as text under ``exact``.

    Attributes:
        exact: Set on construction; never passed.
    """

    exact: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill ``exact`` from the other fields."""
        msgspec.structs.force_setattr(
            self,
            "exact",
            {
                encoded: str(getattr(self, name))
                for name, encoded in large_integer_fields(type(self))
            },
        )
