"""A message to clients, encoded once for all of them."""

from __future__ import annotations

import msgspec


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """An encoded message.

    Attributes:
        type: As in the message.
        text: The message as JSON.
        seq: The position of a stored frame, from which a client can resume. None for every other
            message, also for those that mention a position.
    """

    type: str
    text: str
    seq: int | None = None

    def __len__(self) -> int:
        """Return how many bytes the text has when it is sent."""
        return len(self.text) if self.text.isascii() else len(self.text.encode())
