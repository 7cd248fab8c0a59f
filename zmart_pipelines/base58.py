"""Base58 of byte strings of any length (keys and signatures have their own types in solders).

The alphabet is Bitcoin's. https://datatracker.ietf.org/doc/html/draft-msporny-base58-03
Short strings go to the based58 library, whose time grows with the square of the length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import based58

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# The longest text that is decoded: a transaction has at most 4096 bytes.
MAX_LENGTH: Final = 5600
# Up to this length based58 is faster.
_SHORT: Final = 96

_ALPHABET_BYTES: Final = ALPHABET.encode("ascii")
_NO_DIGIT: Final = 0xFF
_DIGITS: Final = bytes(
    ALPHABET.index(chr(code)) if chr(code) in ALPHABET else _NO_DIGIT for code in range(256)
)


class Base58Error(ValueError):
    """The text is not base58, or is longer than that of any transaction."""


@cache
def _steps(lanes: int) -> list[tuple[int, int, int]]:
    """Return the steps that join ``lanes`` (a power of two) one-byte digits pairwise.

    Each step is (bits of a lane, mask of the lower lane of each pair, weight of the upper).
    """
    steps, bits, weight = [], 8, 58
    while bits < 8 * lanes:
        pair = bytes(bits // 8) + b"\xff" * (bits // 8)
        steps.append((bits, int.from_bytes(pair * (4 * lanes // bits), "big"), weight))
        bits, weight = 2 * bits, weight * weight
    return steps


def decode(text: str) -> bytes:
    """Return the bytes of a base58 text.

    All digits of a long text are placed in one integer and neighbours are joined in parallel,
    so that the number of steps grows with the logarithm of the length.

    Raises:
        Base58Error: the text is not base58 or is too long.
    """
    if len(text) > MAX_LENGTH:
        raise Base58Error(f"base58 of {len(text)} characters, at most {MAX_LENGTH}")
    digits = text.encode("latin-1", "replace")
    if len(digits) <= _SHORT:
        try:
            return based58.b58decode(digits)
        except ValueError:
            raise Base58Error("not base58") from None
    digits = digits.translate(_DIGITS)
    if _NO_DIGIT in digits:
        raise Base58Error("not base58")
    number = int.from_bytes(digits, "big")
    for bits, lower, weight in _steps(max(32, 1 << (len(digits) - 1).bit_length())):
        number = (number >> bits & lower) * weight + (number & lower)
    zeros = len(digits) - len(digits.lstrip(b"\0"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode(data: bytes) -> str:
    """Return the base58 text of bytes."""
    if len(data) <= _SHORT:
        return based58.b58encode(data).decode("ascii")
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))


def _checker(size: int) -> Callable[[str], bool]:
    """Return a function that checks whether a text is the base58 of ``size`` bytes.

    It checks length, digits and order without decoding, except for the one value in 256 that
    begins with a zero byte: the alphabet ascends in ASCII, so texts of one length compare as
    their numbers do.
    """
    least, greatest = encode(b"\1".ljust(size, b"\0")), encode(b"\xff" * size)
    shorter, longer = len(least), len(greatest)

    def check(text: str) -> bool:
        if text.encode("utf-8", "replace").translate(None, _ALPHABET_BYTES):
            return False
        length = len(text)
        if length == longer and text[0] != "1":
            return text <= greatest
        if length == shorter and text >= least:
            return True
        return size <= length <= longer and len(decode(text)) == size

    return check


# 32 bytes, as every address is.
is_key: Final = _checker(32)
is_signature: Final = _checker(64)
