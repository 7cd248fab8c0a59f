"""One value, one sequence of bytes.

Canonical JSON: keys sorted by code point, UTF-8, no blanks, integers only, every text in
Unicode normal form C. The same document therefore always has the same CID, on any machine
and in any language that follows these five rules.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any


class NotCanonical(ValueError):
    """The value or the bytes have no canonical form; the message says where and why."""


def canonical_bytes(value: Any) -> bytes:
    """The canonical bytes of a value made of mappings, lists, texts, ints, bools and None.

    Texts are normalised to form C. Floats, bytes, dates, keys that are no texts, keys that
    fall together after normalisation, and lone surrogates raise :class:`NotCanonical`.
    """
    ordered = _normalise(value, "$")
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


def parse_canonical(data: bytes) -> Any:
    """Reads canonical bytes; anything that is not byte for byte canonical is refused."""
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"the bytes are not JSON: {error}") from None
    if canonical_bytes(value) != data:
        raise NotCanonical(
            "the bytes are JSON but not canonical (sorted keys, no blanks, integers, form C)"
        )
    return value


def _refuse_constant(name: str) -> Any:
    raise NotCanonical(f"{name} is no integer")


def _normalise(value: Any, where: str) -> Any:
    # bool before int: True is an int to Python, and both are allowed.
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise NotCanonical(f"{where}: the key {key!r} is no text")
            name = _text(key, where)
            if name in out:
                raise NotCanonical(f"{where}: two keys read {name!r} in normal form C")
            out[name] = _normalise(item, f"{where}.{name}")
        return {name: out[name] for name in sorted(out)}
    if isinstance(value, list | tuple):
        return [_normalise(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise NotCanonical(f"{where}: {type(value).__name__} has no canonical form")


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotCanonical(f"{where}: the text holds a lone surrogate") from None
    return unicodedata.normalize("NFC", value)
