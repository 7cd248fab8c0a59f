"""Base58 of byte strings of any length (keys and signatures have their own types in solders).

The alphabet is Bitcoin's. https://datatracker.ietf.org/doc/html/draft-msporny-base58-03
"""

from __future__ import annotations

from typing import Final

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# The longest text read: a transaction has at most 4096 bytes. Bounds the work, which is
# quadratic in the length.
MAX_LENGTH: Final = 5600

_DIGITS: Final = {character: value for value, character in enumerate(ALPHABET)}
# Two characters at a time halve the steps.
_PAIRS: Final = {a + b: 58 * _DIGITS[a] + _DIGITS[b] for a in ALPHABET for b in ALPHABET}


def decode(text: str) -> bytes:
    """The bytes of a base58 text; ValueError where it is none or longer than allowed."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"base58 of {len(text)} characters, at most {MAX_LENGTH}")
    try:
        number = _DIGITS[text[0]] if len(text) % 2 else 0
        for start in range(len(text) % 2, len(text), 2):
            number = number * 3364 + _PAIRS[text[start : start + 2]]
    except KeyError:
        raise ValueError("not base58") from None
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode(data: bytes) -> str:
    """The base58 text of bytes."""
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))
