"""Conflated states: at most one in an interval, and always the newest in the end."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.realtime.conflation import Conflation

INTERVAL = 100.0


class Timeline:
    """A clock that runs only when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, Callable[[str], None], str]] = []
        self._number = 0

    def call_later(self, seconds: float, call: Callable[[str], None], key: str) -> None:
        self._number += 1
        heapq.heappush(self._calls, (self.now + seconds, self._number, call, key))

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self._calls and self._calls[0][0] <= until:
            self.now, _, call, key = heapq.heappop(self._calls)
            call(key)
        self.now = until

    @property
    def is_idle(self) -> bool:
        return not self._calls


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 250)), max_size=60))
def test_newest_is_sent_at_most_once_in_an_interval(offers: list[tuple[str, int]]) -> None:
    timeline = Timeline()
    sent: list[tuple[str, float, int]] = []
    conflation: Conflation[str, int] = Conflation(
        INTERVAL, lambda key, value: sent.append((key, timeline.now, value)), timeline.call_later
    )
    offered: dict[str, int] = {}
    for number, (key, pause) in enumerate(offers):
        timeline.advance(pause)
        conflation.offer(key, number)
        offered[key] = number
    timeline.advance(2 * INTERVAL)
    assert timeline.is_idle, "nothing is left behind for a quiet key"
    for key, newest in offered.items():
        own = [(when, value) for name, when, value in sent if name == key]
        assert own[-1][1] == newest
        assert [value for _, value in own] == sorted({value for _, value in own})
        assert all(later - earlier >= INTERVAL for (earlier, _), (later, _) in pairwise(own))


def test_a_quiet_key_is_sent_at_once() -> None:
    timeline = Timeline()
    sent: list[int] = []
    conflation: Conflation[str, int] = Conflation(
        INTERVAL, lambda _, value: sent.append(value), timeline.call_later
    )
    for number in range(5):
        conflation.offer("a", number)
    assert sent == [0]
    timeline.advance(INTERVAL)
    assert sent == [0, 4]
    timeline.advance(2 * INTERVAL)
    conflation.offer("a", 5)
    assert sent == [0, 4, 5]
