"""How far the archive of the write-ahead log has come, asked of the server and noted beside it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
import psycopg

from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.targets import private_file
from zmart_pipelines.backup.wal_archive import WalArchive
from zmart_pipelines.health.archive_record import RECORD, Received

# Where the log ends now, and whether the receiver of the slot has written it up to the target. The
# server shows what a receiver reports to members of pg_read_all_stats alone.
_POSITIONS: Final = """
SELECT clock_timestamp(), pg_current_wal_lsn()::text, coalesce((
    SELECT bool_or(receiver.write_lsn >= %(target)s::pg_lsn)
    FROM pg_stat_replication AS receiver
    JOIN pg_replication_slots AS slot ON slot.active_pid = receiver.pid
    WHERE slot.slot_name = %(slot)s
), false)
"""


class ArchiveProgress:
    """Notes a time once everything that was committed until then has been received.

    The receiver reports every few seconds, and nothing is written at rest, so that the note of an
    archive that works is seconds old.
    """

    def __init__(self, archive: WalArchive, conn: psycopg.Connection, slot: str) -> None:
        """Follow the receiver of a slot.

        Args:
            archive: Where the note is kept.
            conn: A connection to the server; it is not closed here.
            slot: The replication slot.
        """
        self._archive = archive
        self._conn = conn
        self._slot = slot
        self._target: tuple[datetime, str] | None = None

    def note(self) -> None:
        """Ask the server, and note the time of the target if that was received.

        Raises:
            psycopg.Error: The server does not answer.
            BackupError: It answers with nothing.
        """
        lsn = None if self._target is None else self._target[1]
        row = self._conn.execute(_POSITIONS, {"target": lsn, "slot": self._slot}).fetchone()
        if row is None:
            raise BackupError("the server does not say where its log ends")
        now, end, is_received = row
        if self._target is not None and is_received:
            self._write(Received(self._target[0]))
        if self._target is None or is_received:
            self._target = (now, end)

    def _write(self, received: Received) -> None:
        path = self._archive.root / RECORD
        partial = path.with_name(f".{RECORD}")
        with private_file(partial) as file:
            file.write(msgspec.json.encode(received))
        partial.replace(path)
