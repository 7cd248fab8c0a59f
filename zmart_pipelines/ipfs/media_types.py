"""What a file is, by its bytes: the few kinds that users may have pinned.

None of them runs anything where it is shown, unlike HTML and SVG.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

MediaType: TypeAlias = Literal[
    "application/json",
    "application/pdf",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/plain",
]


def media_type(data: bytes) -> MediaType | None:
    """Return what the bytes are; None where they are none of the kinds."""
    binary = _binary_type(data)
    if binary is not None:
        return binary
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if not text or "\x00" in text:
        return None
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return "text/plain"
    return "application/json"


def _binary_type(data: bytes) -> MediaType | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    return None
