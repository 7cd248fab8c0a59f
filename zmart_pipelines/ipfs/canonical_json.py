"""Canonical JSON as defined by RFC 8785 (JSON Canonicalization Scheme, JCS).

A document therefore has the same bytes, and the same CID, in every JCS implementation.
Integers are limited to the exact range of IEEE 754 doubles, -(2^53 - 1) to 2^53 - 1. Texts
are encoded as they are, without Unicode normalization: signed messages keep their bytes, and
code that creates texts from user input applies :func:`normalized_text` first.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final

import rfc8785

MAX_INTEGER: Final = 2**53 - 1


class NotCanonical(ValueError):
    """The value or the bytes have no canonical form; the message says why."""


def canonical_bytes(value: Any) -> bytes:
    """Return the canonical bytes of a value of dicts, lists, texts, numbers, bools and None.

    Raises:
        NotCanonical: the value holds another type, a key that is not a text, an integer beyond
            2^53 - 1, NaN, an infinity or a lone surrogate.
    """
    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"the value has no canonical form: {error}") from None


def parse_canonical(data: bytes) -> Any:
    """Parse canonical bytes.

    Raises:
        NotCanonical: the bytes are not JSON, or differ from the canonical form of their value.
    """
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"the bytes are not JSON: {error}") from None
    if canonical_bytes(value) != data:
        raise NotCanonical("the bytes are JSON but not in the canonical form of RFC 8785")
    return value


def normalized_text(text: str) -> str:
    """Return ``text`` without surrounding whitespace, in Unicode normalization form C.

    Two inputs that read the same then give the same document.
    """
    return unicodedata.normalize("NFC", text.strip())
