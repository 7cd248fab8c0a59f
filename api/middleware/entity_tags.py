"""Entity tags and ``If-None-Match`` (RFC 9110, sections 8.8.3 and 13.1.2)."""

from __future__ import annotations

import re
from typing import Final

import xxhash

# An opaque tag without its quotes; a comma may stand inside of it.
_TAG: Final = re.compile(rb'\s*(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_CODINGS: Final = (b"-br", b"-gzip")
MAX_CONDITION_BYTES: Final = 4096


def of_body(body: bytes) -> bytes:
    """Return the strong entity tag of a body."""
    return b'"%s"' % xxhash.xxh3_128_hexdigest(body).encode()


def of_coding(tag: bytes, coding: bytes) -> bytes:
    """Return the entity tag of the same content in a content coding, which is other bytes."""
    return b'%s-%s"' % (tag[:-1], coding) if tag.endswith(b'"') else tag


def matches(condition: bytes | None, tag: bytes) -> bool:
    """Return whether ``If-None-Match`` names the tag, in any coding; weak comparison.

    A condition that is malformed from some point on counts up to there.
    """
    if not condition or len(condition) > MAX_CONDITION_BYTES:
        return False
    if condition.strip() == b"*":
        return True
    wanted = _opaque(tag)
    at = 0
    while found := _TAG.match(condition, at):
        if _without_coding(found[1]) == wanted:
            return True
        at = found.end()
        if at == len(condition):
            break
    return False


def _opaque(tag: bytes) -> bytes:
    return _without_coding(tag.removeprefix(b"W/").strip(b'"'))


def _without_coding(opaque: bytes) -> bytes:
    for suffix in _CODINGS:
        if opaque.endswith(suffix):
            return opaque[: -len(suffix)]
    return opaque
