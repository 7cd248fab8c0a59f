"""The breaker as a pure machine: by cases, and against a second account of its rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from zmart_pipelines.breakers import machine
from zmart_pipelines.breakers.machine import Breaker, Permit, Policy, Refusal, State

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = Policy(failures=3, probe=2 * MINUTE)


def opened(level: int = 0) -> Breaker:
    """A breaker that opened at NOW and whose probes failed ``level`` times."""
    breaker = Breaker()
    for number in range(POLICY.failures):
        breaker = machine.failed(breaker, f"fault {number}", NOW, POLICY)
    for _ in range(level):
        assert breaker.wait_until is not None
        moment = breaker.wait_until
        breaker, permit = machine.allow(breaker, moment, POLICY)
        assert isinstance(permit, Permit)
        breaker = machine.failed(breaker, "again", moment, POLICY, generation=permit.generation)
    return breaker


def test_it_opens_at_the_number_of_failures_in_a_row() -> None:
    breaker = Breaker()
    for number in (1, 2):
        breaker = machine.failed(breaker, "fault", NOW, POLICY)
        assert (breaker.state, breaker.failures) == (State.CLOSED, number)
    assert machine.succeeded(breaker).failures == 0
    breaker = machine.failed(breaker, "the third", NOW, POLICY)
    assert breaker.state is State.OPEN
    assert machine.allow(breaker, NOW, POLICY)[1] == Refusal(NOW + 5 * MINUTE, "the third")


def test_only_the_first_failure_of_a_subject_counts() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker = machine.failed(breaker, "poisoned", NOW, POLICY, subject="market 1")
    assert (breaker.state, breaker.failures) == (State.CLOSED, 1)
    breaker = machine.failed(breaker, "too", NOW, POLICY, subject="market 2")
    breaker = machine.failed(breaker, "too", NOW, POLICY, subject="market 3")
    assert breaker.state is State.OPEN


@pytest.mark.parametrize(("level", "minutes"), [(0, 5), (1, 10), (2, 20), (3, 20), (9, 20)])
def test_the_pause_grows_to_twenty_minutes(level: int, minutes: int) -> None:
    breaker = opened(level)
    assert breaker.wait_until is not None
    start = breaker.wait_until - minutes * MINUTE
    just_before = breaker.wait_until - timedelta(microseconds=1)
    assert isinstance(machine.allow(breaker, start, POLICY)[1], Refusal)
    assert isinstance(machine.allow(breaker, just_before, POLICY)[1], Refusal)
    assert isinstance(machine.allow(breaker, breaker.wait_until, POLICY)[1], Permit)
    assert breaker.opened_at == NOW


def test_probe_closes_or_reopens_the_breaker() -> None:
    moment = NOW + 5 * MINUTE
    probing, permit = machine.allow(opened(), moment, POLICY)
    assert isinstance(permit, Permit)
    assert permit.probe
    assert probing.state is State.HALF_OPEN
    assert isinstance(machine.allow(probing, moment, POLICY)[1], Refusal)
    closed = machine.succeeded(probing, permit.generation)
    assert (closed.state, closed.failures, closed.opened_at) == (State.CLOSED, 0, None)
    again = machine.failed(probing, "still", moment, POLICY, generation=permit.generation)
    assert (again.state, again.level, again.wait_until) == (State.OPEN, 1, moment + 10 * MINUTE)


def test_a_probe_whose_holder_vanished_is_given_to_another() -> None:
    moment = NOW + 5 * MINUTE
    probing, first = machine.allow(opened(), moment, POLICY)
    later, second = machine.allow(probing, moment + POLICY.probe, POLICY)
    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    assert second.probe
    # The first holder comes back too late to decide anything.
    assert machine.succeeded(later, first.generation) == later
    assert machine.failed(later, "x", moment, POLICY, generation=first.generation) == later


def test_a_probe_given_back_is_the_next_ones() -> None:
    moment = NOW + 5 * MINUTE
    probing, permit = machine.allow(opened(1), moment + 10 * MINUTE, POLICY)
    assert isinstance(permit, Permit)
    back = machine.abandoned(probing, permit.generation, moment)
    assert (back.state, back.level) == (State.OPEN, 1)
    assert isinstance(machine.allow(back, moment, POLICY)[1], Permit)
    closed = Breaker()
    assert machine.abandoned(closed, 0, moment) == closed


def test_answers_from_before_it_opened_decide_nothing() -> None:
    _, early = machine.allow(Breaker(), NOW, POLICY)
    assert isinstance(early, Permit)
    breaker = opened()
    assert machine.succeeded(breaker, early.generation) == breaker
    assert machine.succeeded(breaker) == breaker
    # A call that was forced through, though it is open, carries its generation and closes it.
    assert machine.succeeded(breaker, breaker.generation).state is State.CLOSED


def test_a_reset_closes_and_keeps_the_error() -> None:
    breaker = machine.reset(opened(2))
    assert (breaker.state, breaker.level, breaker.last_error) == (State.CLOSED, 0, "again")
    assert isinstance(machine.allow(breaker, NOW, POLICY)[1], Permit)


class Rules(RuleBasedStateMachine):
    """Any order of asking, answering, vanishing and waiting, with what must hold written from
    the outside: from what was answered and when, never from the breaker's own fields.
    """

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = NOW
        self.row: set[str] = set()
        self.unnamed = 0
        self.shut: datetime | None = None
        self.pauses = 0
        self.probe: tuple[int, datetime] | None = None
        self.era = 0

    def _is_current(self, era: int) -> bool:
        return era == self.era

    def _shut(self) -> None:
        self.shut = self.now + POLICY.pauses[min(self.pauses, 2)]
        self.pauses += 1
        self.probe = None
        self.era += 1

    def _close(self) -> None:
        self.row, self.unnamed = set(), 0
        self.shut, self.pauses, self.probe = None, 0, None
        self.era += 1

    @rule(seconds=st.sampled_from([1, 59, 120, 299, 300, 600, 1200]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(target=permits)
    def ask(self) -> object:
        self.breaker, answer = machine.allow(self.breaker, self.now, POLICY)
        if self.shut is None:
            assert isinstance(answer, Permit)
            assert not answer.probe
            return (answer.generation, self.era)
        until = self.probe[1] if self.probe is not None else self.shut
        if self.now < until:
            assert isinstance(answer, Refusal)
            assert answer.until == until
            return multiple()
        assert isinstance(answer, Permit)
        assert answer.probe
        self.era += 1
        self.probe = (self.era, self.now + POLICY.probe)
        return (answer.generation, self.era)

    @rule(permit=consumes(permits))
    def succeed(self, permit: tuple[int, int]) -> None:
        generation, era = permit
        self.breaker = machine.succeeded(self.breaker, generation)
        if not self._is_current(era):
            return
        if self.shut is None:
            self.row, self.unnamed = set(), 0
        else:
            self._close()

    @rule(permit=consumes(permits), subject=st.sampled_from([None, "a", "b", "c"]))
    def fail(self, permit: tuple[int, int], subject: str | None) -> None:
        generation, era = permit
        self.breaker = machine.failed(
            self.breaker, "fault", self.now, POLICY, generation=generation, subject=subject
        )
        if not self._is_current(era):
            return
        if self.shut is not None:
            self._shut()
            return
        if subject is None:
            self.unnamed += 1
        else:
            self.row.add(subject)
        if len(self.row) + self.unnamed >= POLICY.failures:
            self._shut()

    @rule(permit=consumes(permits))
    def give_back(self, permit: tuple[int, int]) -> None:
        generation, era = permit
        self.breaker = machine.abandoned(self.breaker, generation, self.now)
        if self._is_current(era) and self.probe is not None:
            self.shut, self.probe = self.now, None
            self.era += 1

    @rule()
    def reset_by_hand(self) -> None:
        self.breaker = machine.reset(self.breaker)
        self._close()

    @invariant()
    def state_is_as_told(self) -> None:
        expected = (
            State.CLOSED
            if self.shut is None
            else State.HALF_OPEN
            if self.probe is not None
            else State.OPEN
        )
        assert self.breaker.state is expected
        assert (self.breaker.opened_at is None) == (self.shut is None)
        assert len(self.breaker.subjects) <= POLICY.failures


Rules.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestRules = Rules.TestCase
