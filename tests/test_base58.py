"""Base58 against solders, and the check of an address that does not decode it."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines import base58


def is_solders_key(text: str) -> bool:
    try:
        Pubkey.from_string(text)
    except ValueError:
        return False
    return True


def text_of(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = base58.ALPHABET[digit] + digits
    return digits


@given(st.binary(max_size=300))
@example(b"\0" * 97)
@example(b"\0" * 96)
@example(b"\0\1" + b"\xff" * 95)
def test_round_trip(data: bytes) -> None:
    assert base58.decode(base58.encode(data)) == data


@given(st.binary(min_size=64, max_size=64))
def test_encoding_equals_that_of_solders(data: bytes) -> None:
    assert base58.encode(data) == str(Signature(data))
    assert base58.encode(data[:32]) == str(Pubkey(data[:32]))


@pytest.mark.parametrize("length", [1, 32, 96, 97, 500])
@pytest.mark.parametrize("wrong", ["0", "O", "I", "l", " ", "\0", "é", "中"])
def test_invalid_characters_are_refused(length: int, wrong: str) -> None:
    with pytest.raises(base58.Base58Error, match="not base58"):
        base58.decode("2" * (length - 1) + wrong)


@given(st.text(base58.ALPHABET, min_size=30, max_size=46))
@example("1" * 32)
@example("1" * 33)
@example("")
def test_address_is_checked_without_decoding(text: str) -> None:
    assert base58.is_key(text) == is_solders_key(text)


def test_addresses_at_every_bound() -> None:
    numbers = {2**power + more for power in range(257) for more in (-1, 0, 1)}
    for number in sorted(numbers | {58**power for power in range(44)} | {58**44 - 1}):
        text = text_of(number)
        as_key = str(Pubkey(number.to_bytes(32, "big"))) if number < 2**256 else text
        for one in (text, as_key, as_key[1:], "1" + as_key, as_key + "1", as_key[:-1]):
            assert base58.is_key(one) == is_solders_key(one), one


def test_mistyped_addresses_are_refused() -> None:
    dice = random.Random(7)
    for _ in range(2000):
        text = list(str(Pubkey(dice.randbytes(32))))
        text[dice.randrange(len(text))] = dice.choice(base58.ALPHABET + "0OIl é")
        assert base58.is_key("".join(text)) == is_solders_key("".join(text)), text
