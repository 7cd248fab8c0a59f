"""Messages to a WebSocket, written straight to its connection."""

from __future__ import annotations

from collections.abc import Sequence

from api.connections.socket_frames import FrameWriter, text_frame
from api.realtime import protocol
from api.realtime.outgoing import Outgoing


class SocketOutlet:
    """The outlet of a subscriber on a server that writes frames."""

    def __init__(self, frames: FrameWriter) -> None:
        self._frames = frames

    def write(self, message: Outgoing) -> bool:
        """Send a message, and return True; False where the client must read first."""
        return self._frames.write(text_frame(message.text))

    def write_all(self, messages: Sequence[Outgoing]) -> bool:
        """Do the same with several messages at once."""
        return self._frames.write(b"".join([text_frame(message.text) for message in messages]))

    def close_slow(self) -> None:
        """Close the connection of a client that overflowed."""
        self._frames.end(protocol.CLOSE_SLOW, protocol.SLOW_REASON)
