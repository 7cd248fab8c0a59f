"""Bodies of responses that are encoded once and sent often.

A body is as fresh as a reading of its own (``api.hot_reads.shared_flights``), or, where that is
allowed, at most some seconds old.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, NamedTuple, TypeAlias

from api.hot_reads.shared_flights import SharedFlights

_OVERHEAD: Final = 1000


class EncodedBody:
    """A body as JSON.

    Attributes:
        content: The bytes.
        next_cursor: The cursor of the page that follows; None where none does.
    """

    __slots__ = ("content", "next_cursor")

    def __init__(self, content: bytes, next_cursor: str | None = None) -> None:
        self.content = content
        self.next_cursor = next_cursor


class Reading(NamedTuple):
    """What was read for a body.

    Attributes:
        parts: Equal only where the encoded bodies are.
        encode: Makes the body.
    """

    parts: Any
    encode: Callable[[], EncodedBody]


Read: TypeAlias = Callable[[float], Awaitable[Reading]]


class _Entry(NamedTuple):
    body: EncodedBody
    parts: Any
    read_at: float

    @property
    def bytes(self) -> int:
        return len(self.body.content) + _OVERHEAD


class EncodedBodies:
    """The bodies that were asked for last, by what they answer."""

    def __init__(self, *, seconds: float, max_bytes: int, shared_seconds: float = 0.0) -> None:
        """Keep bodies.

        Args:
            seconds: Time that a request waits for its reading.
            max_bytes: Size of the bodies that are kept.
            shared_seconds: Age at which a body is read again; 0: for each request.
        """
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
        if self._shared_seconds:
            entry = self._entries.get(key)
            if entry is not None and self._now() - entry.read_at < self._shared_seconds:
                return entry.body
        return await self._flights.get(key, lambda deadline: self._load(key, read, deadline))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _load(self, key: Hashable, read: Read, deadline: float) -> EncodedBody:
        begun = self._now()
        reading = await read(deadline)
        kept = self._entries.pop(key, None)
        if kept is not None:
            self._bytes -= kept.bytes
        same = kept is not None and kept.parts == reading.parts
        body = kept.body if kept is not None and same else reading.encode()
        entry = self._entries[key] = _Entry(body, reading.parts, begun)
        self._bytes += entry.bytes
        while self._bytes > self._max:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.bytes
        return body
