"""Canonical JSON: the examples of RFC 8785, and refusal of everything that is not canonical."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.ipfs.canonical_json import (
    MAX_INTEGER,
    NotCanonical,
    canonical_bytes,
    normalized_text,
    parse_canonical,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(-1e15, 1e15)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def in_reverse_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_reverse_order(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return [in_reverse_order(item) for item in value]
    return value


def test_rfc_8785_example_of_section_3_2_2() -> None:
    source = r"""
    {
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }
    """
    assert (
        canonical_bytes(json.loads(source))
        == (
            '{"literals":[null,true,false],'
            '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            r'"string":"€$\u000f\nA'
            "'"
            r'B\"\\\\\"/"}'
        ).encode()
    )


def test_rfc_8785_order_of_keys_by_utf_16_code_units() -> None:
    document = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert list(json.loads(canonical_bytes(document)).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


@pytest.mark.parametrize(
    ("ieee_754", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_rfc_8785_numbers_of_appendix_b(ieee_754: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(ieee_754))
    assert canonical_bytes(number).decode() == text


def test_texts_are_not_normalized() -> None:
    composed, decomposed = "\u00c5", "A\u030a"
    assert canonical_bytes(decomposed) == b'"A\xcc\x8a"'
    assert canonical_bytes(composed) != canonical_bytes(decomposed)
    assert parse_canonical(canonical_bytes(decomposed)) == decomposed


def test_normalized_text_is_trimmed_and_composed() -> None:
    assert normalized_text("  A\u030angstro\u0308m\n") == "\u00c5ngstr\u00f6m"


@given(values)
def test_canonical_bytes_parse_back_and_ignore_the_order_of_keys(value: Any) -> None:
    data = canonical_bytes(value)
    assert canonical_bytes(parse_canonical(data)) == data
    assert canonical_bytes(in_reverse_order(value)) == data
    assert json.loads(data) == parse_canonical(data)


@pytest.mark.parametrize("number", [MAX_INTEGER, -MAX_INTEGER])
def test_integers_are_exact_up_to_the_limit(number: int) -> None:
    assert canonical_bytes(number) == str(number).encode()
    beyond = number + 1 if number > 0 else number - 1
    with pytest.raises(NotCanonical, match=str(beyond)):
        canonical_bytes({"votes": beyond})
    with pytest.raises(NotCanonical, match=str(beyond)):
        parse_canonical(str(beyond).encode())


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        b"x",
        {1: 2},
        ["\ud800"],
        {"\ud800": 1},
        {"a": {1, 2}},
    ],
    ids=repr,
)
def test_values_without_a_canonical_form_are_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical_bytes(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":1,"a":1}',
        b"1.0",
        b"1e3",
        b"-0",
        b"NaN",
        b"Infinity",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b"\xff",
        b"",
        b"[" * 100_000,
        '{"\ufb33":1,"\U0001f600":2}'.encode(),
    ],
    ids=lambda data: repr(data[:20]),
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        parse_canonical(data)
