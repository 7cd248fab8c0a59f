"""The messages of the realtime API as a client reads them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message with its ``data`` still encoded.

    A frame has ``prev``, one of a conflated channel ``conflated``; an acknowledgement and a
    ``reset`` have ``seq`` alone.
    """

    type: str
    data: msgspec.Raw
    channel: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    prev: int | UnsetType = UNSET
    conflated: bool = False

    def content(self) -> dict[str, Any]:
        """Return ``data``, decoded."""
        decoded: dict[str, Any] = msgspec.json.decode(self.data)
        return decoded


class Beginning(msgspec.Struct, frozen=True):
    """What an acknowledgement or a ``reset`` holds beside its text."""

    snapshot: msgspec.Raw | UnsetType = UNSET


decode = msgspec.json.Decoder(Message).decode
decode_beginning = msgspec.json.Decoder(Beginning).decode
