"""Examples of the messages, recorded from the running API."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

FILE = Path(__file__).with_name("examples.json")


@cache
def recorded() -> dict[str, Any]:
    """Return all examples, by the names of their messages."""
    read: dict[str, Any] = msgspec.json.decode(FILE.read_bytes())
    return read


def of(name: str) -> Any:
    """Return the example of the message with this name; None where none was recorded."""
    return recorded().get(name)
