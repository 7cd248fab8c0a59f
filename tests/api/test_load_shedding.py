"""Load is shed where the event loop falls behind, the kinds of requests in their order."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.testing import TestClient

from api.app import create_app
from api.error_codes import ErrorCode
from api.errors import ApiError
from api.load_shedding.shedding import STEPS, Kind, LoadShedding
from api.load_shedding.standing_delay import MEASUREMENTS, StandingDelay
from tests.api.conftest import SECRET
from tests.api.metric_changes import MetricChanges
from zmart_pipelines.settings import Settings

WAIT_SECONDS = 60
BOUND = 0.5


def shed(shedding: LoadShedding) -> set[Kind]:
    refused = {}
    for kind in Kind:
        try:
            shedding.require_room(kind)
        except ApiError as error:
            refused[kind] = error
    for kind, refusal in refused.items():
        assert (refusal.status, refusal.code) == (503, ErrorCode.OVERLOADED)
        assert int(refusal.headers["Retry-After"]) > 0
        assert kind.value in refusal.message
    return set(refused)


@given(st.lists(st.floats(0, 10), max_size=30))
def test_delay_stands_only_if_all_the_last_measurements_agree(measured: list[float]) -> None:
    delay = StandingDelay()
    for seconds in measured:
        delay.add(seconds)
    last = measured[-MEASUREMENTS:]
    assert delay.seconds == (min(last) if len(last) == MEASUREMENTS else 0)


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0.49, set()),
        (0.5, {Kind.SEARCH}),
        (1.0, {Kind.SEARCH, Kind.READ}),
        (1.9, {Kind.SEARCH, Kind.READ}),
        (2.0, {Kind.SEARCH, Kind.READ, Kind.WRITE}),
    ],
)
def test_searches_are_shed_before_reads_and_reads_before_writes(
    delay: float, expected: set[Kind]
) -> None:
    shedding = LoadShedding(BOUND)
    for _ in range(MEASUREMENTS - 1):
        shedding.note(delay)
    assert shed(shedding) == set(), "a burst sheds nothing"
    shedding.note(delay)
    assert shed(shedding) == expected
    assert list(STEPS) == [Kind.SEARCH, Kind.READ, Kind.WRITE]


def test_one_good_measurement_ends_it_and_both_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shedding = LoadShedding(BOUND)
    with caplog.at_level(logging.WARNING, "api.load_shedding"):
        for _ in range(2 * MEASUREMENTS):
            shedding.note(1.2)
        shedding.note(0.0)
    assert shed(shedding) == set()
    assert [text.rpartition(": ")[2] for text in caplog.messages] == [
        "searches, reads is shed",
        "nothing is shed",
    ]


def test_blocked_event_loop_is_noticed_and_its_recovery_too() -> None:
    """Callbacks that block hold up the measurement as they hold up requests."""

    async def scenario() -> None:
        shedding = LoadShedding(0.02)
        loop = asyncio.get_running_loop()
        blocked = True

        def block() -> None:
            if blocked:
                time.sleep(0.1)
                loop.call_soon(block)

        async with asyncio.timeout(WAIT_SECONDS), shedding.running():
            loop.call_soon(block)
            while shed(shedding) != set(Kind):  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0.01)
            blocked = False
            while shed(shedding):  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_delays_are_counted_and_nothing_is_shed_without_a_bound() -> None:
    shedding = LoadShedding(0)
    changes = MetricChanges()
    for _ in range(10):
        shedding.note(5.0)
    for kind in Kind:
        shedding.require_room(kind)
    assert changes.of("zmart_event_loop_delay_seconds_count") == 10
    assert changes.of("zmart_event_loop_delay_seconds_bucket", "2.5") == 0


def test_health_and_webhooks_are_answered_while_all_else_is_shed(
    api_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(**api_settings.model_dump() | {"api_shed_seconds": 0.1})
    monkeypatch.setattr(StandingDelay, "seconds", 1.0)
    with TestClient(create_app(settings)) as http:
        deadline = time.monotonic() + WAIT_SECONDS
        while http.get("/api/markets").status_code != 503:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for method, path in (
            ("GET", "/api/markets"),
            ("GET", "/api/markets?q=rain"),
            ("HEAD", "/api/markets"),
            ("POST", "/api/discussions"),
            ("GET", "/no/such/route"),
        ):
            answer = http.request(method, path)
            assert answer.status_code == 503, path
            assert int(answer.headers["retry-after"]) > 0
            if method != "HEAD":
                assert answer.json()["code"] == "overloaded"
        for path in ("/health", "/health/live", "/health/services", "/api/webhooks/health"):
            assert http.get(path).json().get("code") != "overloaded", path
        assert http.get("/health").status_code == 200
        headers = {"Authorization": SECRET, "Content-Type": "application/json"}
        assert http.post("/api/webhooks/helius", content=b"[]", headers=headers).status_code == 200
