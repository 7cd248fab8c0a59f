"""What a backup contains, and how a restored database differs from it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

FORMAT: Final = 1


class TableContent(msgspec.Struct, frozen=True):
    """The rows of a table at one moment.

    Attributes:
        columns: In the order in which they were hashed.
        rows: How many there are.
        sha256: Of the rows as text, in the order of the primary key; hexadecimal.
    """

    columns: tuple[str, ...]
    rows: int
    sha256: str


class StoredFile(msgspec.Struct, frozen=True):
    """A file of the backup as it is stored: encrypted, where the backup is."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The contents of one backup.

    Attributes:
        name: The backup's name.
        taken_at: When it was begun.
        encrypted: Whether its files are encrypted.
        server_version: Of the Postgres server, such as ``18.4``.
        revision: Schema revision of the database.
        lsn: Position of the write-ahead log at which the dump began.
        program_id: The program whose ledger it is.
        tables: By qualified name, in the snapshot of the dump.
        cids: Of the pinned files that the backup contains.
        files: By name, all but the manifest itself.
        format: Version of this document.
    """

    name: str
    taken_at: datetime
    encrypted: bool
    server_version: str
    revision: str
    lsn: str
    program_id: str
    tables: dict[str, TableContent]
    cids: tuple[str, ...]
    files: dict[str, StoredFile]
    format: int = FORMAT

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest."""
        return sum(file.bytes for file in self.files.values())


class UnreadableManifest(Exception):
    """The manifest is damaged, or was written by a later version."""


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)


def decode(data: bytes) -> Manifest:
    """Return the manifest of a JSON document.

    Raises:
        UnreadableManifest: It is none, or has a later format.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise UnreadableManifest(f"the manifest cannot be read: {error}") from error
    if manifest.format > FORMAT:
        raise UnreadableManifest(
            f"the manifest has format {manifest.format}, this version reads up to {FORMAT}"
        )
    return manifest


def differences(expected: dict[str, TableContent], found: dict[str, TableContent]) -> Iterator[str]:
    """Yield in words how the tables found differ from those expected; nothing if they are equal."""
    for name in sorted(expected.keys() | found.keys()):
        before, after = expected.get(name), found.get(name)
        if before is None:
            yield f"{name} is not in the manifest"
        elif after is None:
            yield f"{name} was not restored"
        elif before.columns != after.columns:
            yield f"{name} has other columns"
        elif before.rows != after.rows:
            yield f"{name} has {after.rows} rows, the manifest says {before.rows}"
        elif before.sha256 != after.sha256:
            yield f"{name} has other content than the manifest says"
