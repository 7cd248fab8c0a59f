"""Recent frames in memory: the same frames as in the table, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from api.realtime.recent_frames import RecentFrames

CHANNELS = ("market:a", "market:b", "markets")
MOST_FRAMES = 5
MOST_BYTES = 60


class StoredFrame(NamedTuple):
    """A frame as far as its chain is concerned."""

    position: int
    previous: int
    size: int = 1


def chain(*positions: int, previous: int = 0, size: int = 1) -> list[StoredFrame]:
    """Frames of one channel at these positions."""
    before = (previous, *positions[:-1])
    return [StoredFrame(at, last, size) for at, last in zip(positions, before, strict=True)]


def kept(
    channel: str, frames: Sequence[StoredFrame], max_bytes: int = MOST_BYTES
) -> RecentFrames[str, StoredFrame]:
    """What is known after one reading."""
    recent = RecentFrames[str, StoredFrame](max_bytes=max_bytes)
    recent.keep(channel, frames, recent.expect(channel))
    return recent


@dataclass(eq=False)
class Reading:
    """A reading of the table that runs."""

    channel: str
    delivered: list[StoredFrame]
    found: list[StoredFrame] = field(default_factory=list)


class Streams(RuleBasedStateMachine):
    """Writers, the hub and clients that read back, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.recent = RecentFrames[str, StoredFrame](MOST_FRAMES, MOST_BYTES)
        self.table: dict[str, list[StoredFrame]] = {channel: [] for channel in CHANNELS}
        self.stream: list[tuple[str, StoredFrame]] = []
        self.delivered = 0
        self.readings: list[Reading] = []

    def stored(self, channel: str) -> list[StoredFrame]:
        return [frame for name, frame in self.stream if name == channel]

    @rule(channel=st.sampled_from(CHANNELS), size=st.integers(1, 20))
    def append(self, channel: str, size: int) -> None:
        before = self.stored(channel)
        previous = before[-1].position if before else 0
        frame = StoredFrame(len(self.stream) + 1, previous, size)
        self.table[channel].append(frame)
        self.stream.append((channel, frame))

    @rule(count=st.integers(1, 6))
    def deliver(self, count: int) -> None:
        for channel, frame in self.stream[self.delivered : self.delivered + count]:
            self.recent.add(channel, frame)
            self.delivered += 1

    @rule(channel=st.sampled_from(CHANNELS), keep=st.integers(0, 3))
    def prune(self, channel: str, keep: int) -> None:
        frames = self.table[channel]
        del frames[: max(0, len(frames) - keep)]

    @rule(channel=st.sampled_from(CHANNELS))
    def begin_reading(self, channel: str) -> None:
        self.readings.append(Reading(channel, self.recent.expect(channel)))

    @precondition(lambda self: self.readings)
    @rule(data=st.data(), since=st.integers(0, 20))
    def read(self, data: st.DataObject, since: int) -> None:
        reading = data.draw(st.sampled_from(self.readings))
        table = self.table[reading.channel]
        reading.found = [frame for frame in table if frame.position > since]

    @precondition(lambda self: self.readings)
    @rule(data=st.data())
    def end_reading(self, data: st.DataObject) -> None:
        reading = data.draw(st.sampled_from(self.readings))
        self.readings.remove(reading)
        self.recent.keep(reading.channel, reading.found, reading.delivered)

    @invariant()
    def every_answer_is_what_was_stored(self) -> None:
        end = len(self.stream) + 1
        for name in CHANNELS:
            stored = self.stored(name)
            for since in range(end):
                for head in {since, (since + end) // 2, end - 1}:
                    found = self.recent.after(name, since, head)
                    expected = [frame for frame in stored if since < frame.position <= head]
                    assert found is None or list(found) == expected

    @invariant()
    def a_head_is_not_below_what_was_delivered(self) -> None:
        for name in CHANNELS:
            head = self.recent.head(name)
            delivered = [frame for one, frame in self.stream[: self.delivered] if one == name]
            if head is not None and delivered:
                assert head >= delivered[-1].position

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.recent.size <= MOST_BYTES


TestStreams = Streams.TestCase
TestStreams.settings = settings(stateful_step_count=30)


def test_frames_of_one_reading_serve_everybody_and_grow() -> None:
    recent = kept("markets", chain(4, 7, 9, previous=2))
    assert recent.after("markets", 2, 9) == chain(4, 7, 9, previous=2)
    assert recent.after("markets", 4, 9) == chain(7, 9, previous=4)
    assert recent.after("markets", 4, 8) == chain(7, previous=4)
    assert recent.after("markets", 9, 9) == []
    assert recent.after("markets", 1, 9) is None, "what was before 4 is not known"
    assert recent.after("markets", 4, 10) is None, "nor what comes after 9"
    recent.add("markets", StoredFrame(12, 9))
    recent.add("market:a", StoredFrame(13, 0))
    assert recent.after("markets", 7, 12) == chain(9, 12, previous=7)
    assert recent.head("markets") == 12
    assert recent.after("market:a", 12, 13) is None, "nobody reads it back"
    assert not recent.wants("market:a")


def test_a_hole_ends_what_is_kept() -> None:
    recent = kept("markets", chain(4, 7))
    recent.add("markets", StoredFrame(12, 9))
    assert recent.after("markets", 4, 7) is None
    assert recent.head("markets") is None
    assert recent.size == 0


def test_frames_delivered_during_the_reading_are_kept_too() -> None:
    recent = RecentFrames[str, StoredFrame]()
    delivered = recent.expect("markets")
    for frame in chain(7, 9, previous=4):
        recent.add("markets", frame)
    recent.keep("markets", chain(2, 4, 7), delivered)
    assert recent.after("markets", 0, 9) == chain(2, 4, 7, 9)


def test_a_reading_of_older_frames_replaces_what_is_kept() -> None:
    recent = kept("markets", chain(7, 9, previous=4))
    recent.keep("markets", chain(9, previous=7), recent.expect("markets"))
    assert recent.after("markets", 4, 9) == chain(7, 9, previous=4)
    recent.keep("markets", chain(2, 4, 7, 9), recent.expect("markets"))
    assert recent.after("markets", 0, 9) == chain(2, 4, 7, 9)


def test_a_reading_without_frames_ends_the_expectation() -> None:
    recent = kept("markets", [])
    assert not recent.wants("markets")
    assert recent.after("markets", 0, 0) is None


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20))
def test_channels_read_back_lately_stay(names: list[str]) -> None:
    recent = RecentFrames[str, StoredFrame](max_bytes=30)
    used: list[str] = []
    for name in names:
        if recent.after(name, 0, 1) is None:
            recent.keep(name, chain(1, size=10), recent.expect(name))
        used = [*(one for one in used if one != name), name][-3:]
        assert [one for one in "abcd" if recent.head(one) is not None] == sorted(used)
