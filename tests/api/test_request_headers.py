"""How headers of requests are read: ids, traces, entity tags, content codings."""

from __future__ import annotations

import gzip
import re

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.middleware import content_coding, entity_tags, request_ids

OPAQUE = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=20
).map(str.encode)


@pytest.mark.parametrize(
    ("offered", "accepted"),
    [
        (b"order-17/a:b", True),
        (b"x" * 128, True),
        (b"x" * 129, False),
        (b"", False),
        (b"two words", False),
        (b"line\nfeed", False),
        ("ü".encode(), False),
        (None, False),
    ],
)
def test_request_id_is_taken_over_or_made(offered: bytes | None, accepted: bool) -> None:
    chosen = request_ids.choose_id(offered)
    assert (chosen == offered) is accepted
    if not accepted:
        assert re.fullmatch(rb"[0-9a-f]{32}", chosen)
        assert chosen != request_ids.choose_id(offered)


TRACE = b"0af7651916cd43dd8448eb211c80319c"
PARENT = b"b7ad6b7169203331"


@pytest.mark.parametrize("version", [b"00", b"01", b"fe"])
@pytest.mark.parametrize("flags", [b"00", b"01", b"ff"])
def test_trace_goes_on_with_a_span_of_ours(version: bytes, flags: bytes) -> None:
    child = request_ids.child_trace(b"-".join((version, TRACE, PARENT, flags)))
    assert child is not None
    made_version, trace, span, made_flags = child.split(b"-")
    assert (made_version, trace, made_flags) == (b"00", TRACE, flags)
    assert span != PARENT
    assert re.fullmatch(rb"[0-9a-f]{16}", span)


@pytest.mark.parametrize(
    "parent",
    [
        b"ff-%s-%s-01" % (TRACE, PARENT),
        b"00-%s-%s-01" % (b"0" * 32, PARENT),
        b"00-%s-%s-01" % (TRACE, b"0" * 16),
        b"00-%s-%s-01-more" % (TRACE, PARENT),
        b"00-%s-%s-1" % (TRACE, PARENT),
        b"00-%s-%s-01" % (TRACE.upper(), PARENT),
        b"01-%s-%s-01-%s" % (TRACE, PARENT, b"x" * 300),
        b"",
    ],
)
def test_invalid_trace_is_dropped(parent: bytes) -> None:
    assert request_ids.child_trace(parent) is None


@given(st.binary(max_size=100))
def test_any_trace_is_read_without_an_exception(parent: bytes) -> None:
    request_ids.child_trace(parent)


@given(st.lists(OPAQUE, max_size=6), OPAQUE, st.booleans(), st.sampled_from([b",", b" , ", b",\t"]))
def test_condition_matches_exactly_the_tags_that_it_names(
    others: list[bytes], wanted: bytes, is_weak: bool, separator: bytes
) -> None:
    plain = [one.removesuffix(b"-br").removesuffix(b"-gzip") for one in others]
    named = [b'W/"%s"' % one if is_weak else b'"%s"' % one for one in plain]
    wanted = wanted.removesuffix(b"-br").removesuffix(b"-gzip")
    tag = b'"%s"' % wanted
    assert entity_tags.matches(separator.join(named), tag) is (wanted in plain)
    assert entity_tags.matches(separator.join([*named, tag]), tag)


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        (b"*", True),
        (b' "a" ', True),
        (b'W/"a"', True),
        (b'"a-br"', True),
        (b'"a-gzip"', True),
        (b'"x", "a,b", "a"', True),
        (b'"a,b"', False),
        (b"a", False),
        (b'"x", broken, "a"', False),
        (b'"a', False),
        (b"", False),
        (None, False),
    ],
)
def test_conditions(condition: bytes | None, matches: bool) -> None:
    assert entity_tags.matches(condition, b'"a"') is matches


@given(st.binary(max_size=200))
def test_any_condition_is_read_without_an_exception(condition: bytes) -> None:
    entity_tags.matches(condition, b'"a"')


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"", None),
        (b"gzip", b"gzip"),
        (b"gzip, deflate, br", b"br"),
        (b"gzip;q=1.0, br;q=0.5", b"gzip"),
        (b"br;q=0, gzip", b"gzip"),
        (b"GZIP", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"*", b"br"),
        (b"*;q=0", None),
        (b"br;q=0, *", b"gzip"),
        (b"identity", None),
        (b"identity;q=1, gzip;q=0.5", None),
        (b"gzip ; q=0.3 , identity;q=0", b"gzip"),
        (b"zstd", None),
        (b"gzip;q=abc", None),
        (b"gzip;q=2", b"gzip"),
    ],
)
def test_codings(accepted: bytes, coding: bytes | None) -> None:
    assert content_coding.choose(accepted) == coding


@given(st.binary(max_size=200))
def test_any_accept_encoding_is_read_without_an_exception(accepted: bytes) -> None:
    assert content_coding.choose(accepted) in {None, b"br", b"gzip"}


@given(st.binary(max_size=5000))
def test_compressed_bodies_hold_the_body(body: bytes) -> None:
    assert gzip.decompress(content_coding.compress(b"gzip", body)) == body
    assert brotli.decompress(content_coding.compress(b"br", body)) == body
    assert content_coding.compress(b"gzip", body) == content_coding.compress(b"gzip", body)
