"""Names of backups, from which their age follows, and of the files of one. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

DUMP: Final = "database.dump"
ROLES: Final = "roles.sql"
PINS: Final = "pinned-files.tar"
MANIFEST: Final = "manifest.json"
# Written last, in clear: that the backup was restored and compared.
VERIFIED: Final = "verified.json"
ENCRYPTED_SUFFIX: Final = ".age"

_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")


def backup_name(taken_at: datetime) -> str:
    """Return the name of the backup that was begun then, to the second."""
    return taken_at.astimezone(UTC).strftime(_FORMAT)


def taken_at(name: str) -> datetime:
    """Return when the backup of that name was begun.

    Raises:
        ValueError: It is no name of a backup.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not the name of a backup, such as 20260131T000000Z")
    return datetime.strptime(name, _FORMAT).replace(tzinfo=UTC)


def is_backup_name(name: str) -> bool:
    """Return whether it is the name of a backup."""
    try:
        taken_at(name)
    except ValueError:
        return False
    return True
