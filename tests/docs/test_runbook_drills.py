"""Drills: a fault is caused, its runbook's commands are run as they stand, and it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from tests.docs import runbook_pages
from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.cli import main
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.submissions.switches import set_switch

# Runs a command line; returns its exit code and what it printed.
Run = Callable[[str], tuple[int, str]]
VALUES = {"NAME": "action:finalize_market", "ACTION": "finalize_market"}


@pytest.fixture
def run(database: str, tmp_path: Path) -> Run:
    settings = {name.upper(): value for name, value in login_settings(database).items()}
    environment = {**settings, "ZMART_STATE": str(tmp_path)}

    def run(command: str) -> tuple[int, str]:
        name, *words = runbook_pages.filled(command, VALUES)
        assert name == "zmart", command
        done = CliRunner().invoke(main, words, env=environment)
        assert done.exception is None or isinstance(done.exception, SystemExit), command
        return done.exit_code, done.output

    return run


@pytest.fixture
def pipelines(database: str) -> Engine:
    return role_engine(Role.PIPELINES, database)


def drill(run: Run, topic: str, shown: str, ends: Callable[[], None]) -> None:
    """Follow the page of a fault that has begun.

    Args:
        run: Runs a command line.
        topic: The fault's cause.
        shown: What the first query must show of it.
        ends: What the system does by itself after the safe action.
    """
    page = runbook_pages.parts(runbook_pages.pages()[topic].read_text())
    (over,) = runbook_pages.commands(page["It is over when"])
    assert run(over)[0] == 1, "the fault is there"
    first = "".join(run(command)[1] for command in runbook_pages.commands(page["First query"]))
    assert shown in first
    for command in runbook_pages.commands(page["Safe action"]):
        assert run(command)[0] in (0, 1), command
    ends()
    assert run(over)[0] == 0


def test_switch(run: Run, pipelines: Engine) -> None:
    with pipelines.begin() as conn:
        set_switch(conn, "finalize_market", enabled=False, reason="a drill")
    drill(run, "switch", "a drill", ends=lambda: None)
    pipelines.dispose()


def test_breaker(run: Run, pipelines: Engine, database: str) -> None:
    owner = role_engine(Role.OWNER, database)
    policy = Policy(failures=1, pauses=(timedelta(hours=1),))

    def watch() -> None:
        with pipelines.begin() as conn:
            update_breaker_alerts(conn)

    with pipelines.begin() as conn:
        breaker_rows.failed(conn, VALUES["NAME"], "no answer", policy)
    with owner.begin() as conn:
        conn.execute(text("UPDATE ops.breakers SET opened_at = now() - interval '6 minutes'"))
    watch()
    drill(run, "breaker", "no answer", ends=watch)
    owner.dispose()
    pipelines.dispose()
