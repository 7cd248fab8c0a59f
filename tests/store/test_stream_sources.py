"""Reading the stream by channel and type finds what a scan of the whole stream finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.store.conftest import Engines
from zmart_pipelines.store import stream, stream_sources
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.stream import Frame, StoredFrame
from zmart_pipelines.store.stream_sources import Source

CHANNELS = ("market:a", "market:b", "markets")
TYPES = ("trade", "vote", "market_state")
FRAMES = 120

sources = st.lists(
    st.builds(Source, st.sampled_from((*CHANNELS, "nobody")), st.sampled_from((None, *TYPES))),
    max_size=6,
)


@pytest.fixture
def reader(engines: Engines) -> Engine:
    """The stream with frames of all channels and types, unevenly mixed."""
    with engines[Role.PIPELINES].begin() as conn:
        stream.append(
            conn,
            [
                Frame(CHANNELS[number % 7 % 3], TYPES[number % 5 % 3], {"number": number})
                for number in range(FRAMES)
            ],
        )
    return engines[Role.READ]


def test_sources_find_what_a_scan_finds(reader: Engine) -> None:
    with reader.connect() as conn:
        everything = stream.read_after(conn, 0)

        @given(sources, st.integers(0, FRAMES + 1), st.integers(0, FRAMES + 1), st.integers(1, 40))
        def check(asked: list[Source], after: int, last: int, limit: int) -> None:
            def belongs(frame: StoredFrame) -> bool:
                return any(
                    source.channel == frame.channel and source.type in (None, frame.type)
                    for source in asked
                )

            within = [
                frame for frame in everything if belongs(frame) and after < frame.position <= last
            ][:limit]
            assert stream_sources.read(conn, asked, after, last, limit) == within
            assert stream_sources.count(conn, asked, after, last, limit=limit) == len(within)
            assert stream_sources.heads(conn, asked) == [
                max(
                    (
                        frame.position
                        for frame in everything
                        if source.channel == frame.channel and source.type in (None, frame.type)
                    ),
                    default=0,
                )
                for source in asked
            ]

        check()


def test_each_source_has_a_chain_of_its_own(reader: Engine) -> None:
    with reader.connect() as conn:
        for channel in CHANNELS:
            for type_ in (None, *TYPES):
                source = Source(channel, type_)
                before = 0
                for frame in stream_sources.read(conn, [source], 0):
                    assert source.previous(frame) == before
                    before = frame.position
