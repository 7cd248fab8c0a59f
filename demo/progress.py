"""Which markets are the cast's, kept in the state folder so that a restart goes on."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Entry(msgspec.Struct):
    """One market of the cast. ``number`` (from 0) is that of its plan."""

    number: int
    market_id: str
    over: bool = False


class Notebook:
    """The list of entries and its file."""

    def __init__(self, path: Path) -> None:
        """Read the file if there is one."""
        self._path = path
        self.entries: list[Entry] = (
            msgspec.json.decode(path.read_bytes(), type=list[Entry]) if path.exists() else []
        )

    def add(self, market_id: bytes) -> Entry:
        """Note a new market."""
        entry = Entry(len(self.entries), market_id.hex())
        self.entries.append(entry)
        self._save()
        return entry

    def close(self, entry: Entry) -> None:
        """Note that nothing is left to do in a market."""
        entry.over = True
        self._save()

    def _save(self) -> None:
        partial = self._path.with_name(f".{self._path.name}")
        partial.write_bytes(msgspec.json.encode(self.entries))
        partial.replace(self._path)
