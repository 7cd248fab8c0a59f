"""The canonical form: one value, one sequence of bytes."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.ipfs.canonical_json import NotCanonical, canonical_bytes, parse_canonical

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts.map(lambda t: unicodedata.normalize("NFC", t)), inner, max_size=4)
    ),
    max_leaves=12,
)


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return [_shuffled(item) for item in value]
    return unicodedata.normalize("NFD", value) if isinstance(value, str) else value


def test_form() -> None:
    value = {"b": [1, True, None], "a": "Grüße", "Z": {}}
    assert canonical_bytes(value) == '{"Z":{},"a":"Grüße","b":[1,true,null]}'.encode()


@given(values)
def test_reads_back_and_ignores_order_and_composition(value: Any) -> None:
    data = canonical_bytes(value)
    assert canonical_bytes(parse_canonical(data)) == data
    assert canonical_bytes(_shuffled(value)) == data
    assert json.loads(data) == parse_canonical(data)


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), b"x", {1: 2}, ["\ud800"], {"é": 1, "e\u0301": 2}, {"a": {1, 2}}],
    ids=repr,
)
def test_refuses_what_has_no_single_form(value: Any) -> None:
    with pytest.raises(NotCanonical):
        canonical_bytes(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"a":1,"a":1}',
        b"1.0",
        b"1e3",
        b"NaN",
        b'"\\u0041"',
        '"e\u0301"'.encode(),
        b"\xff",
        b"",
        b"[" * 100_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_refuses_bytes_that_are_not_canonical(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        parse_canonical(data)
