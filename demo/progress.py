"""The markets of the cast, kept in the state folder so that a restart resumes them."""

from __future__ import annotations

from pathlib import Path

import msgspec


class MarketEntry(msgspec.Struct):
    """One market of the cast. ``number`` (from 0) is the number of its plan."""

    number: int
    market_id: str
    is_closed: bool = False


class Progress:
    """The list of entries and its file."""

    def __init__(self, path: Path) -> None:
        """Read the file if it exists."""
        self._path = path
        self.entries: list[MarketEntry] = (
            msgspec.json.decode(path.read_bytes(), type=list[MarketEntry]) if path.exists() else []
        )

    def add(self, market_id: bytes) -> MarketEntry:
        """Record a new market."""
        entry = MarketEntry(len(self.entries), market_id.hex())
        self.entries.append(entry)
        self._save()
        return entry

    def close(self, entry: MarketEntry) -> None:
        """Record that nothing is left to do in a market."""
        entry.is_closed = True
        self._save()

    def _save(self) -> None:
        partial = self._path.with_name(f".{self._path.name}")
        partial.write_bytes(msgspec.json.encode(self.entries))
        partial.replace(self._path)
