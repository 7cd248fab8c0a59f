"""Encoded rows by id, each with the version of what it was made of, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple

# What an entry takes besides its row and its key: objects of Python and a place in the table.
_OVERHEAD: Final = 500


class EncodedRow(NamedTuple):
    """A row as JSON; ``version`` is equal only for rows made of the same data."""

    version: tuple[Any, ...]
    json: bytes


class RowCache:
    """The rows that were used last; one version of each."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._rows: OrderedDict[bytes, EncodedRow] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes, version: tuple[Any, ...]) -> EncodedRow | None:
        """Return the row if it is here in this version."""
        row = self._rows.get(key)
        if row is None or row.version != version:
            return None
        self._rows.move_to_end(key)
        return row

    def put(self, key: bytes, row: EncodedRow) -> None:
        """Keep the row in place of another version of it, and drop what was not used longest."""
        replaced = self._rows.pop(key, None)
        if replaced is not None:
            self.bytes -= len(replaced.json) + _OVERHEAD
        self._rows[key] = row
        self.bytes += len(row.json) + _OVERHEAD
        while self.bytes > self._max and self._rows:
            _, dropped = self._rows.popitem(last=False)
            self.bytes -= len(dropped.json) + _OVERHEAD
