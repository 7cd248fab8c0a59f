"""Content codings: which the client takes, and bodies compressed once."""

from __future__ import annotations

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache
from typing import Final

import brotli

# Below this size a packet is saved by no coding.
MIN_BYTES: Final = 1024
CACHE_BYTES: Final = 32 * 1024 * 1024
# Larger bodies are compressed in a thread; this one takes a few milliseconds.
MAX_INLINE_BYTES: Final = 128 * 1024
_BROTLI_QUALITY: Final = 4
_GZIP_LEVEL: Final = 1
_TYPES: Final = (
    *(b"application/json", b"application/problem+json", b"application/javascript"),
    *(b"text/", b"image/svg+xml", b"application/vnd.oai.openapi"),
)
MAX_HEADER_BYTES: Final = 1024


def is_compressible(media_type: bytes) -> bool:
    """Return whether bodies of this type shrink."""
    return media_type.lower().startswith(_TYPES)


@lru_cache(maxsize=256)
def choose(accepted: bytes) -> bytes | None:
    """Return the coding for an ``Accept-Encoding``: ``br``, ``gzip`` or None for none.

    The one with the higher q-value; brotli where both are wanted alike. ``identity`` with a
    higher q-value than both is preferred to them.
    """
    qualities = _qualities(accepted[:MAX_HEADER_BYTES])
    other = qualities.get(b"*", 0.0)
    brotli_quality = qualities.get(b"br", other)
    gzip_quality = max(qualities.get(b"gzip", other), qualities.get(b"x-gzip", 0.0))
    best = max(brotli_quality, gzip_quality)
    if best == 0.0 or qualities.get(b"identity", 0.0) > best:
        return None
    return b"br" if brotli_quality == best else b"gzip"


def _qualities(accepted: bytes) -> dict[bytes, float]:
    """Return the q-value of each coding; one with a malformed q-value is not accepted."""
    found: dict[bytes, float] = {}
    for item in accepted.lower().split(b","):
        name, *parameters = (part.strip() for part in item.split(b";"))
        if name:
            found[name] = _quality(parameters)
    return found


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() != b"q":
            continue
        digits = value.strip()
        if not digits.replace(b".", b"", 1).isdigit() or len(digits) > 5:
            return 0.0
        return min(float(digits), 1.0)
    return 1.0


class CompressedBodies:
    """Compresses bodies and keeps the result, the latest used up to ``CACHE_BYTES``."""

    def __init__(self, capacity: int = CACHE_BYTES) -> None:
        self._capacity = capacity
        self._size = 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()

    async def get(self, tag: bytes, coding: bytes, body: bytes) -> bytes:
        """Return ``body`` in ``coding``.

        Args:
            tag: The strong entity tag of the body, computed on it: the same tag is the same body.
            coding: ``br`` or ``gzip``.
            body: What is to be compressed.
        """
        key = (tag, coding)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        if len(body) <= MAX_INLINE_BYTES:
            made = compress(coding, body)
        else:
            made = await asyncio.to_thread(compress, coding, body)
        if len(made) <= self._capacity // 8 and key not in self._kept:
            self._kept[key] = made
            self._size += len(made)
            while self._size > self._capacity:
                self._size -= len(self._kept.popitem(last=False)[1])
        return made


def compress(coding: bytes, body: bytes) -> bytes:
    """Return ``body`` in ``coding``; the same bytes at each call."""
    if coding == b"br":
        made: bytes = brotli.compress(body, quality=_BROTLI_QUALITY)
        return made
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)
