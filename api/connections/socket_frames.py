"""Messages to a WebSocket as frames that are encoded once and written at once.

ASGI takes a message as text, which the server then encodes for each socket. An app finds in
``scope["extensions"][EXTENSION]`` a ``FrameWriter`` that takes the bytes of a frame instead, so
that all sockets that receive the same message share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

EXTENSION: Final = "zmart.socket_frames"

# The first byte of a whole message of text (RFC 6455, 5.2), and the sizes of the length's forms.
_WHOLE_TEXT: Final = 0x81
_SHORT, _MEDIUM = 126, 1 << 16
_LONG = _SHORT + 1
# The bytes of a head by the form of its length; a length below ``_SHORT`` is its own form.
_HEADS: Final = {_SHORT: 4, _LONG: 10}
_SHORT_HEAD: Final = 2


class FrameWriter(Protocol):
    """The sending side of one open WebSocket."""

    def write(self, frame: bytes) -> bool:
        """Send a frame, and return True; False where the client must read first.

        A frame for a socket that is being closed is dropped.
        """

    def when_writable(self, resume: Callable[[], None] | None) -> None:
        """Call ``resume`` each time that the client has read enough to be sent more."""

    def end(self, code: int, reason: str) -> None:
        """Close the socket behind what was sent, without waiting for it; receiving ends too."""


def writer(scope: Mapping[str, Any]) -> FrameWriter | None:
    """Return the writer of the server that runs the app; None where it has none."""
    found: FrameWriter | None = (scope.get("extensions") or {}).get(EXTENSION)
    return found


def text_frame(payload: bytes) -> bytes:
    """Return the frame of a text in UTF-8, as a server sends it: whole and without a mask."""
    size = len(payload)
    if size < _SHORT:
        head = bytes((_WHOLE_TEXT, size))
    elif size < _MEDIUM:
        head = bytes((_WHOLE_TEXT, _SHORT)) + size.to_bytes(2, "big")
    else:
        head = bytes((_WHOLE_TEXT, _LONG)) + size.to_bytes(8, "big")
    return head + payload


def head_size(frame: bytes) -> int:
    """Return how many bytes stand before the text in a frame of ``text_frame``."""
    return _HEADS.get(frame[1], _SHORT_HEAD)
