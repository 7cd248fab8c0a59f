"""When two answers are equal."""

from __future__ import annotations

from benchmarks.equal_answers import differences


def test_numbers_are_equal_whatever_their_notation() -> None:
    assert differences({"price": 1}, {"price": 1.0}) == []


def test_each_difference_is_named_with_its_place() -> None:
    ours = {"markets": [{"tags": ["a"]}, {"open": True, "state": "ACTIVE"}]}
    theirs = {"markets": [{"tags": ["b"]}, {"open": 1}]}
    assert differences(ours, theirs) == [
        ".markets[0].tags[0]: 'a' and 'b'",
        ".markets[1].open: True and 1",
        ".markets[1].state: 'ACTIVE' and 'absent'",
    ]


def test_lists_of_different_lengths_differ() -> None:
    assert differences([1, 2], [1]) == [": [1, 2] and [1]"]


def test_figures_of_a_clock_are_left_out() -> None:
    assert differences({"as_of": "now", "count": 1}, {"as_of": "later", "count": 1}) == []
