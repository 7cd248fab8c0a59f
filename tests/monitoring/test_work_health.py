"""The judgement of measured quantities, by its properties and at its edges."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.monitoring.work_health import (
    CONFIRMED_LAG,
    CONFIRMED_SLOTS,
    DUE_DECISION,
    FAILED_RUNS,
    QUANTITIES,
    SERVICES,
    START_SECONDS,
    WORST_FIRST,
    Measurement,
    State,
    age,
    evaluate,
    judge,
    nothing_owed,
    worst,
)
from zmart_pipelines.settings import Settings, Threshold

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIMIT = Threshold(60, 180)
SECONDS = st.floats(0, 1e7, allow_nan=False)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def state(measured: Measurement, uptime: float = 1e6, limit: Threshold = LIMIT) -> State:
    return evaluate(measured, limit, now=NOW, started_at=ago(uptime)).state


@pytest.mark.parametrize(
    ("owed", "uptime", "expected"),
    [
        (59.9, 1e6, "ok"),
        (60.0, 1e6, "degraded"),
        (179.9, 1e6, "degraded"),
        (180.0, 1e6, "down"),
        (1e6, 59.0, "starting"),  # left over from before the start
        (1e6, 61.0, "degraded"),
        (1e6, 181.0, "down"),
        (59.0, 10.0, "ok"),
        (None, 10.0, "ok"),  # never done, and the system has just started
        (None, 60.0, "degraded"),
        (None, 180.0, "down"),
    ],
)
def test_age_by_its_thresholds_and_the_start(
    owed: float | None, uptime: float, expected: State
) -> None:
    since = None if owed is None else ago(owed)
    assert state(age("event-indexer", DUE_DECISION, since), uptime) == expected


@pytest.mark.parametrize(
    ("read", "uptime", "expected"),
    [(5, 1e6, "ok"), (5, 3, "starting"), (None, 3, "starting"), (None, 60, "degraded")],
)
def test_reader_is_starting_until_it_has_finished_once(
    read: float | None, uptime: float, expected: State
) -> None:
    since = None if read is None else ago(read)
    assert state(age("event-indexer", CONFIRMED_LAG, since), uptime) == expected


@given(SECONDS, SECONDS, st.integers(1, 10_000), st.integers(1, 10_000))
def test_age_is_down_exactly_when_that_much_passed_since_it_and_since_the_start(
    owed: float, uptime: float, degraded: int, more: int
) -> None:
    limit = Threshold(degraded, degraded + more)
    found = evaluate(age("s", DUE_DECISION, ago(owed)), limit, now=NOW, started_at=ago(uptime))
    passed = min((NOW - ago(owed)).total_seconds(), (NOW - ago(uptime)).total_seconds())
    assert (found.state == "down") == (passed >= limit.down)
    assert (found.state in ("down", "degraded")) == (passed >= limit.degraded)


@given(SECONDS, SECONDS, SECONDS)
def test_health_never_improves_as_time_passes_without_work(
    owed: float, uptime: float, later: float
) -> None:
    measured, started = age("s", DUE_DECISION, ago(owed)), ago(uptime)
    before = evaluate(measured, LIMIT, now=NOW, started_at=started)
    after = evaluate(measured, LIMIT, now=NOW + timedelta(seconds=later), started_at=started)
    assert WORST_FIRST.index(after.state) <= WORST_FIRST.index(before.state)


@given(SECONDS, st.floats(0, 1e6))
def test_interval_of_a_schedule_is_allowed_in_full(owed: float, allowed: float) -> None:
    found = evaluate(
        age("s", DUE_DECISION, ago(owed), allowed=allowed), LIMIT, now=NOW, started_at=ago(1e9)
    )
    late = max(0.0, (NOW - ago(owed)).total_seconds() - allowed)
    assert found.state == judge(late, LIMIT)
    assert found.value == pytest.approx(late, abs=0.06)


@given(st.integers(0, 1000), SECONDS)
def test_count_is_judged_once_the_system_has_had_time(number: int, uptime: float) -> None:
    found = state(Measurement("s", FAILED_RUNS, float(number)), uptime)
    judged = judge(number, LIMIT)
    if (NOW - ago(uptime)).total_seconds() >= START_SECONDS:
        assert found == judged
    else:
        assert found == ("ok" if judged == "ok" else "starting")


def test_what_cannot_be_measured_is_shown_as_unknown() -> None:
    found = evaluate(Measurement("s", CONFIRMED_SLOTS, None), LIMIT, now=NOW, started_at=ago(1e6))
    assert (found.value, found.state) == (None, "ok")


def test_nothing_owed_is_ok_however_long_the_system_runs() -> None:
    assert state(nothing_owed("s", DUE_DECISION)) == "ok"


@given(st.lists(st.sampled_from(WORST_FIRST), min_size=1))
def test_worst_is_one_of_them_and_none_is_worse(states: list[State]) -> None:
    found = worst(tuple(states))
    assert found in states
    assert all(WORST_FIRST.index(found) <= WORST_FIRST.index(one) for one in states)


def test_every_quantity_has_its_setting_and_every_setting_its_quantity() -> None:
    assert set(Settings().health_thresholds) == {one.name for one in QUANTITIES}
    assert {service.main for service in SERVICES.values()} <= set(QUANTITIES)


def test_threshold_is_set_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_FAILED_RUNS", "3 / 9")
    assert Settings().health_thresholds["failed_runs"] == Threshold(3, 9)
    assert Settings().environment()["HEALTH_FAILED_RUNS"] == "3/9"


@pytest.mark.parametrize("value", ["9/3", "3/3", "0/3", "-1/3", "3", "a/b", "1.5/3"])
def test_threshold_whose_steps_are_not_in_order_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_FAILED_RUNS", value)
    with pytest.raises(ValueError, match="health_failed_runs"):
        Settings()
