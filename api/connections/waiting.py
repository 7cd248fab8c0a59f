"""What a WebSocket waits for, in as little memory as thousands of them need.

asyncio's ``Queue`` and ``Event`` keep five deques between them, about 3 KB, though a socket rarely
has more than one message that waits, and one task that waits for it.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Gate:
    """Is open or closed; has those methods of ``asyncio.Event`` that the server uses."""

    __slots__ = ("_is_open", "_opened")

    def __init__(self) -> None:
        """Be closed."""
        self._is_open = False
        self._opened: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Return whether it is open."""
        return self._is_open

    def set(self) -> None:
        """Open it."""
        self._is_open = True
        opened, self._opened = self._opened, None
        if opened is not None and not opened.done():
            opened.set_result(None)

    def clear(self) -> None:
        """Close it."""
        self._is_open = False

    async def wait(self) -> None:
        """Wait until it has been opened."""
        if self._is_open:
            return
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        # Others may wait for the same.
        await asyncio.shield(self._opened)


class Received(Generic[T]):
    """Messages in order, taken by one task.

    It has those methods of ``asyncio.Queue`` that the server uses.
    """

    __slots__ = ("_arrived", "_messages")

    def __init__(self) -> None:
        """Be empty."""
        self._messages: list[T] = []
        self._arrived: asyncio.Future[None] | None = None

    def put_nowait(self, message: T) -> None:
        """Append a message."""
        self._messages.append(message)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def empty(self) -> bool:
        """Return whether no message waits."""
        return not self._messages

    async def get(self) -> T:
        """Wait for the next message and take it."""
        while not self._messages:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._messages.pop(0)
