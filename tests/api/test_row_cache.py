"""Rows are kept within a number of bytes, one version of each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.hot_reads.row_cache import EncodedRow, RowCache

ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(0, 3000)), max_size=60)


@given(ROWS, st.integers(0, 8000))
def test_cache_is_bounded_and_has_only_the_versions_it_was_given(
    rows: list[tuple[int, int, int]], limit: int
) -> None:
    cache = RowCache(limit)
    last: dict[bytes, EncodedRow] = {}
    for number, version, size in rows:
        key = bytes([number])
        last[key] = row = EncodedRow((version,), b"x" * size)
        cache.put(key, row)
        assert cache.bytes <= limit
        for known, stored in last.items():
            for other in range(3):
                found = cache.get(known, (other,))
                assert found is None or (found is stored and stored.version == (other,))


def test_row_that_was_used_longest_ago_gives_way() -> None:
    row = EncodedRow((1,), b"x" * 500)
    cache = RowCache(3000)
    for key in (b"a", b"b", b"c"):
        cache.put(key, row)
    assert cache.get(b"a", (1,)) is row
    cache.put(b"d", row)
    assert cache.get(b"a", (1,)) is row
    assert cache.get(b"b", (1,)) is None
