"""Background work ends with its block, and survives its own failures."""

from __future__ import annotations

import asyncio
import logging

import pytest

from api import background
from api.background import in_background


def test_work_ends_with_the_block() -> None:
    async def scenario() -> list[str]:
        seen: list[str] = []
        started = asyncio.Event()

        async def work() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("ended")

        async with in_background(work, "work"):
            await started.wait()
            seen.append("block")
        return seen

    assert asyncio.run(scenario()) == ["block", "ended"]


def test_failed_work_is_logged_and_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "RESTART_SECONDS", 0.0)

    async def scenario() -> int:
        runs = 0
        again = asyncio.Event()

        async def work() -> None:
            nonlocal runs
            runs += 1
            if runs == 1:
                raise ValueError("first")
            again.set()
            await asyncio.Event().wait()

        async with in_background(work, "work"):
            await again.wait()
        return runs

    with caplog.at_level(logging.ERROR, "api"):
        assert asyncio.run(scenario()) == 2
    assert "work failed and is started again" in caplog.text
    assert "ValueError: first" in caplog.text
