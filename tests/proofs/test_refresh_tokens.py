"""Refresh tokens: one text each, and one successor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.proofs import refresh_tokens
from zmart_pipelines.proofs.refresh_tokens import RefreshToken

keys = st.binary(min_size=32, max_size=32)
tokens = st.builds(RefreshToken, wallet=keys, secret=keys)


@given(tokens)
def test_text_is_read_back(token: RefreshToken) -> None:
    assert len(token.text) == 90
    assert refresh_tokens.parse(token.text) == token


@given(tokens, st.integers(0, 89), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_other_text_is_the_token(token: RefreshToken, place: int, letter: str) -> None:
    changed = token.text[:place] + letter + token.text[place + 1 :]
    assert (refresh_tokens.parse(changed) == token) == (changed == token.text)


@given(st.text(max_size=120))
def test_any_text_is_no_token(text: str) -> None:
    assert refresh_tokens.parse(text) is None


@given(tokens, keys, keys)
def test_successor_is_of_the_token_and_the_key(
    token: RefreshToken, key: bytes, other: bytes
) -> None:
    successor = token.successor(key)
    assert successor == token.successor(key)
    assert successor.wallet == token.wallet
    assert successor.secret != token.secret
    assert (successor == token.successor(other)) == (key == other)


def test_new_tokens_differ() -> None:
    made = {refresh_tokens.new_token(bytes(32)).text for _ in range(100)}
    assert len(made) == 100
    assert len({refresh_tokens.parse(text).hash for text in made}) == 100  # type: ignore[union-attr]
