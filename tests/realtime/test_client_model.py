"""The model of a client: whatever a server does, nothing is applied twice or skipped."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.realtime.client_model import ChannelView, Faults, Step


class Stored(NamedTuple):
    """A frame of the channel."""

    position: int
    previous: int


def channel(steps: list[int]) -> list[Stored]:
    """Frames at increasing positions, with these distances."""
    frames: list[Stored] = []
    for step in steps:
        last = frames[-1].position if frames else 0
        frames.append(Stored(last + step, last))
    return frames


class Server:
    """A server that does to a frame what it is told, and answers subscriptions correctly."""

    def __init__(self, frames: list[Stored], view: ChannelView) -> None:
        self.frames = frames
        self.view = view
        self.written = 0

    @property
    def head(self) -> int:
        return self.frames[self.written - 1].position if self.written else 0

    def subscribe(self, *, reset: bool = False) -> None:
        since = self.view.position
        self.view.subscribing()
        self.view.acknowledged(self.head)
        if reset:
            self.view.reset(self.head)
        elif since is not None:
            for frame in self.frames[: self.written]:
                if frame.position > since:
                    assert self.view.frame(*frame) is Step.GO_ON

    def do(self, deed: str) -> None:
        if deed in ("deliver", "lose", "double"):
            if self.written == len(self.frames):
                return
            frame = self.frames[self.written]
            self.written += 1
            for _ in range({"deliver": 1, "lose": 0, "double": 2}[deed]):
                if self.view.frame(*frame) is Step.SUBSCRIBE_AGAIN:
                    self.subscribe()
        elif deed == "heartbeat":
            if self.view.head(self.head) is Step.SUBSCRIBE_AGAIN:
                self.subscribe()
        else:
            self.subscribe(reset=deed == "reset")


STEPS = st.lists(st.integers(1, 3), min_size=1, max_size=30)


def deeds(*names: str) -> st.SearchStrategy[list[str]]:
    """A course of events."""
    return st.lists(st.sampled_from(names), max_size=60)


def check(frames: list[Stored], view: ChannelView, head: int) -> None:
    """Each stretch holds exactly the frames after its start; the last one ends at the head."""
    for stretch in view.stretches:
        end = stretch.positions[-1] if stretch.positions else stretch.start
        assert list(stretch.positions) == [
            frame.position for frame in frames if stretch.start < frame.position <= end
        ]
    assert view.position == head


@given(STEPS, deeds("deliver", "lose", "double", "heartbeat", "reconnect", "reset"))
def test_faults_are_repaired_and_counted(steps: list[int], course: list[str]) -> None:
    faults = Faults()
    view = ChannelView(faults)
    server = Server(channel(steps), view)
    server.subscribe()
    lost = False
    for deed in course:
        before = server.written
        known = faults.gaps + faults.silent_gaps
        server.do(deed)
        lost = (lost or (deed == "lose" and server.written > before)) and (
            deed not in ("reconnect", "reset") and faults.gaps + faults.silent_gaps == known
        )
    server.do("heartbeat")
    check(server.frames, view, server.head)
    if lost:
        assert faults.gaps + faults.silent_gaps > 0


@given(STEPS, deeds("deliver", "heartbeat", "reconnect", "reset"))
def test_a_faultless_server_is_found_faultless(steps: list[int], course: list[str]) -> None:
    faults = Faults()
    view = ChannelView(faults)
    server = Server(channel(steps), view)
    server.subscribe()
    for deed in course:
        server.do(deed)
    check(server.frames, view, server.head)
    assert not faults


def test_frames_in_flight_before_an_acknowledgement_are_no_fault() -> None:
    faults = Faults()
    view = ChannelView(faults)
    view.acknowledged(5)
    assert view.frame(7, 6) is Step.SUBSCRIBE_AGAIN
    view.subscribing()
    assert view.position == 5
    assert view.frame(8, 7) is Step.GO_ON
    assert view.head(8) is Step.GO_ON
    view.acknowledged(8)
    assert view.head(9) is Step.GO_ON, "what was missed comes first"
    for frame in ((6, 5), (7, 6), (8, 7)):
        assert view.frame(*frame) is Step.GO_ON
    assert list(view.stretches[0].positions) == [6, 7, 8]
    assert view.head(8) is Step.GO_ON
    assert faults == Faults(gaps=1)


@pytest.mark.parametrize(
    ("deed", "fault"),
    [
        (lambda view: view.frame(5, 3), Faults(doubled=1)),
        (lambda view: view.frame(9, 7), Faults(gaps=1)),
        (lambda view: view.head(7), Faults(silent_gaps=1)),
    ],
)
def test_each_fault_is_seen(deed: object, fault: Faults) -> None:
    faults = Faults()
    view = ChannelView(faults)
    view.acknowledged(5, b"{}")
    assert callable(deed)
    deed(view)
    assert faults == fault
    assert bool(faults)
    assert view.stretches[0].snapshot == b"{}"
