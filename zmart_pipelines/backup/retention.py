"""Which backups are past their retention. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

# A backup without a manifest is being taken, or was interrupted; after so long it is the latter.
INTERRUPTED_AFTER: Final = timedelta(days=1)


class StoredBackup(msgspec.Struct, frozen=True):
    """A backup as its target shows it.

    Attributes:
        name: Its name.
        taken_at: When it was begun.
        complete: Whether it has a manifest, which is written after everything else.
        verified: Whether it was restored once and compared.
    """

    name: str
    taken_at: datetime
    complete: bool
    verified: bool


def expired(backups: Iterable[StoredBackup], now: datetime, keep_days: int) -> list[StoredBackup]:
    """Return the backups to delete, oldest first.

    A complete backup is deleted only if a later verified one is kept, so that the last good one
    stays however old it is.
    """
    known = sorted(backups, key=lambda one: one.taken_at)
    newest_verified = max((one.taken_at for one in known if one.verified), default=None)
    limit = now - timedelta(days=keep_days)
    return [
        one
        for one in known
        if (
            one.taken_at < limit and newest_verified is not None and one.taken_at < newest_verified
            if one.complete
            else one.taken_at < now - INTERRUPTED_AFTER
        )
    ]


def is_due(last_verified: datetime | None, now: datetime) -> bool:
    """Return whether no verified backup was begun since the last midnight, UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return last_verified is None or last_verified < midnight
