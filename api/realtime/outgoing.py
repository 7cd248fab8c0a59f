"""A message to clients, encoded once for all of them."""

from __future__ import annotations

import msgspec

from api.connections import socket_frames


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """An encoded message.

    Attributes:
        type: As in the message.
        frame: The message as JSON, in a frame for WebSockets.
        seq: The position of a stored frame, from which a client can resume. None for every other
            message, also for those that mention a position.
    """

    type: str
    frame: bytes
    seq: int | None = None

    @property
    def payload(self) -> bytes:
        """The message as JSON in UTF-8."""
        return self.frame[socket_frames.head_size(self.frame) :]

    @property
    def text(self) -> str:
        """The message as JSON."""
        return self.payload.decode()

    def __len__(self) -> int:
        """Return the bytes of the frame."""
        return len(self.frame)


def json_message(type_: str, payload: bytes, seq: int | None = None) -> Outgoing:
    """Return a message of this type; ``payload`` is the whole message as JSON in UTF-8."""
    return Outgoing(type_, socket_frames.text_frame(payload), seq)
