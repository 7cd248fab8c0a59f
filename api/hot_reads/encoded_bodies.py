"""Bodies of responses that are encoded once and sent often.

A body is as fresh as a reading of its own (``api.hot_reads.shared_flights``), or, where that is
allowed, at most some seconds old. One that is asked for again at once is not even read again where
Postgres says that it still sees the same commits as before the body was read: one short statement
says so for all bodies that are asked for in a turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, NamedTuple, TypeAlias

from api.hot_reads.shared_flights import SharedFlights
from api.middleware import entity_tags

_OVERHEAD: Final = 1000
# A body that is asked for at longer intervals has probably changed: it is read without asking.
BUSY_SECONDS: Final = 0.1


class EncodedBody:
    """A body as JSON.

    Attributes:
        content: The bytes.
        next_cursor: The cursor of the page that follows; None where none does.
        tag: Its strong entity tag, which is computed once.
    """

    __slots__ = ("content", "next_cursor", "tag")

    def __init__(self, content: bytes, next_cursor: str | None = None) -> None:
        self.content = content
        self.next_cursor = next_cursor
        self.tag = entity_tags.of_body(content)


class Reading(NamedTuple):
    """What was read for a body.

    Attributes:
        parts: Equal only where the encoded bodies are.
        encode: Makes the body.
    """

    parts: Any
    encode: Callable[[], EncodedBody]


Read: TypeAlias = Callable[[float], Awaitable[Reading]]
# Returns what a statement sees now, by a time of the event loop; equal where the rows are.
ReadSnapshot: TypeAlias = Callable[[float], Awaitable[Hashable]]


class _Entry:
    """A body; ``snapshot``, where it is known, is one from before it was read."""

    __slots__ = ("asked_at", "body", "parts", "read_at", "snapshot")

    def __init__(
        self, body: EncodedBody, parts: Any, read_at: float, snapshot: Hashable | None
    ) -> None:
        self.body = body
        self.parts = parts
        self.read_at = self.asked_at = read_at
        self.snapshot = snapshot

    @property
    def bytes(self) -> int:
        return len(self.body.content) + _OVERHEAD


class EncodedBodies:
    """The bodies that were asked for last, by what they answer."""

    def __init__(
        self,
        read_snapshot: ReadSnapshot,
        *,
        seconds: float,
        max_bytes: int,
        shared_seconds: float = 0.0,
    ) -> None:
        """Keep bodies.

        Args:
            read_snapshot: Says which commits a statement sees now.
            seconds: Time that a request waits for its reading.
            max_bytes: Size of the bodies that are kept.
            shared_seconds: Age at which a body is read again; 0: for each request.
        """
        self._read_snapshot = read_snapshot
        self._snapshots = SharedFlights[Hashable](seconds)
        self._flights = SharedFlights[EncodedBody](seconds)
        self._max = max_bytes
        self._shared_seconds = shared_seconds
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._bytes = 0

    async def get(self, key: Hashable, read: Read) -> EncodedBody:
        """Return the body of ``key``.

        Args:
            key: Everything on which the body depends, apart from the tables.
            read: Reads it; is given the time of the event loop by which it must be done.
        """
        entry = self._entries.get(key)
        snapshot = None
        if entry is not None:
            now = self._now()
            if now - entry.read_at < self._shared_seconds:
                return entry.body
            asked_at, entry.asked_at = entry.asked_at, now
            if now - asked_at < BUSY_SECONDS:
                snapshot = await self._snapshots.get(None, self._read_snapshot)
                entry = self._entries.get(key)
                if entry is not None and entry.snapshot == snapshot:
                    self._entries.move_to_end(key)
                    return entry.body
        return await self._flights.get(
            key, lambda deadline: self._load(key, read, snapshot, deadline)
        )

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _load(
        self, key: Hashable, read: Read, snapshot: Hashable | None, deadline: float
    ) -> EncodedBody:
        begun = self._now()
        reading = await read(deadline)
        kept = self._entries.pop(key, None)
        if kept is not None:
            self._bytes -= kept.bytes
        same = kept is not None and kept.parts == reading.parts
        body = kept.body if kept is not None and same else reading.encode()
        entry = self._entries[key] = _Entry(body, reading.parts, begun, snapshot)
        self._bytes += entry.bytes
        while self._bytes > self._max:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.bytes
        return body
