"""The lines of the log about refused requests."""

from __future__ import annotations

import logging

import pytest

from api.rate_limit.refusal_log import MAX_CLIENTS, PAUSE_SECONDS, RefusalLog


def test_line_names_who_is_refused_most_and_comes_seldom(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    refusals = RefusalLog(lambda: now[0])
    with caplog.at_level(logging.WARNING, "api.rate_limit"):
        for _ in range(3):
            refusals.note("anonymous", "192.0.2.1")
        refusals.note("write", "192.0.2.2")
        assert len(caplog.messages) == 1
        now[0] = PAUSE_SECONDS
        refusals.note("anonymous", "192.0.2.1")
    assert caplog.messages == [
        "limits refused 1 requests; 1 of them were of 192.0.2.1 in the bucket anonymous",
        "limits refused 4 requests; 3 of them were of 192.0.2.1 in the bucket anonymous",
    ]


def test_many_clients_are_counted_in_bounded_memory(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    refusals = RefusalLog(lambda: now[0])
    refusals.note("anonymous", "first")
    with caplog.at_level(logging.WARNING, "api.rate_limit"):
        for number in range(2 * MAX_CLIENTS):
            refusals.note("anonymous", str(number))
            refusals.note("anonymous", "0")
        now[0] = PAUSE_SECONDS
        refusals.note("anonymous", "late")
    expected = f"refused {4 * MAX_CLIENTS + 1} requests; {2 * MAX_CLIENTS + 1} of them were of 0 "
    assert expected in caplog.text
