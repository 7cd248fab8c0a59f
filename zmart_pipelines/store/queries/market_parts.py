"""All markets in parts, of which a job that repeats reads one each time."""

from __future__ import annotations

from typing import Final

# Parts by the first byte of a market's id, which is a hash: all are about as large.
PARTS: Final = 256


def bounds(part: int) -> dict[str, bytes]:
    """Return the ``first`` and ``last`` market id that a part may contain.

    Args:
        part: 0 to ``PARTS`` - 1.
    """
    return {"first": bytes([part]) + bytes(31), "last": bytes([part]) + b"\xff" * 31}
