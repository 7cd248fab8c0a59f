"""The lines of a response's head, as they are sent."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

# No value may have these (RFC 9110, section 5.5); a line break would begin another header.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {ord("\t")})


def head_lines(headers: Collection[tuple[bytes, bytes]]) -> bytes:
    """Return the lines of the headers, each with its end.

    Raises:
        ValueError: A header has a control character.
    """
    lines = b"".join([b"%s: %s\r\n" % header for header in headers])
    if len(lines) - len(lines.translate(None, _CONTROLS)) != 2 * len(headers):
        raise ValueError("a header has a control character")
    return lines
