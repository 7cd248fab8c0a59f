"""Limits on JSON bodies, on every route."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import ApiError
from api.requests import decoding

_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64) + 1, 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=20,
)


@given(_VALUES)
def test_ordinary_json_is_decoded_unchanged(value: Any) -> None:
    assert decoding.decode(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_rejected(data: bytes) -> None:
    with contextlib.suppress(ApiError):
        decoding.decode(data)


@pytest.mark.parametrize("depth", [1, decoding.MAX_DEPTH, 33, 34, 500, 950, 990, 1100, 100_000])
def test_depth_is_limited(depth: int) -> None:
    data = b"[" * depth + b"]" * depth
    if depth <= decoding.MAX_DEPTH:
        assert decoding.decode(data) is not None
    else:
        with pytest.raises(ApiError, match="nested deeper"):
            decoding.decode(data)


@pytest.mark.parametrize("number", [2**64, -(2**64), 10**30])
def test_integers_are_limited(number: int) -> None:
    with pytest.raises(ApiError, match="64 bits"):
        decoding.decode(b'{"a": {"b": [%d]}}' % number)
