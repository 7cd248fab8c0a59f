"""The note of how far the archive of the write-ahead log has come: written beside it, read here.

The archive's folder has one folder for each cluster, named by its system identifier. The archiver
keeps ``received.json`` there current; who has no such folder archives nothing on this machine.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, text

RECORD: Final = "received.json"

_IDENTIFIER: Final = text("SELECT system_identifier::text FROM pg_control_system()")


class Received(msgspec.Struct, frozen=True):
    """Everything that was committed until ``until``, by the server's clock, is in the archive."""

    until: datetime


class ArchiveState(msgspec.Struct, frozen=True):
    """What is known of the archive of a cluster.

    Attributes:
        is_kept: Whether the log is archived on this machine.
        received: The newest note; None before the first.
    """

    is_kept: bool
    received: Received | None = None


def archive_state(conn: Connection, archives: Path) -> ArchiveState:
    """Return how far the archive of the connection's cluster has come.

    Args:
        conn: A connection to the cluster.
        archives: The folder with the archives of all clusters.
    """
    folder = archives / str(conn.execute(_IDENTIFIER).scalar_one())
    if not folder.is_dir():
        return ArchiveState(is_kept=False)
    try:
        note = (folder / RECORD).read_bytes()
    except FileNotFoundError:
        return ArchiveState(is_kept=True)
    return ArchiveState(is_kept=True, received=msgspec.json.decode(note, type=Received))
