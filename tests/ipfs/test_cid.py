"""CIDv0 against the CIDs that ``ipfs add`` is known to give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0, is_cid_v0


@pytest.mark.parametrize(
    ("data", "cid"),
    [
        (b"hello world\n", "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"),
        (b"hello world", "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"),
        (b"hello", "QmWfVY9y3xjsixTgbd9AorQxH7VtMpzfx2HaWtsoUYecaX"),
        (b"", "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
    ],
)
def test_known_cids(data: bytes, cid: str) -> None:
    assert cid_v0(data) == cid


def test_data_beyond_one_block_is_refused() -> None:
    assert is_cid_v0(cid_v0(bytes(MAX_BLOCK)))
    with pytest.raises(ValueError, match="262145 bytes do not fit"):
        cid_v0(bytes(MAX_BLOCK + 1))


@given(st.binary(max_size=400))
def test_form_of_a_cid(data: bytes) -> None:
    cid = cid_v0(data)
    assert len(cid) == 46
    assert is_cid_v0(cid)
    assert cid != cid_v0(data + b"\0")


@pytest.mark.parametrize("text", ["", "Qm", "Q" * 46, "Qm" + "0" * 44, "Qm" + "z" * 44, "../x"])
def test_other_texts_are_not_cids(text: str) -> None:
    assert not is_cid_v0(text)
