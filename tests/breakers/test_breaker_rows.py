"""Breakers in the database: shared by processes, atomic, persistent, reported by alerts."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import ProgrammingError

from tests.fixtures.postgres import name_database
from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.breakers.machine import Permit, Policy, Refusal, State
from zmart_pipelines.cli import main
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.breakers import breaker_statuses
from zmart_pipelines.store.tables.ops import alerts

NAME = "action:finalize_market"
POLICY = Policy(failures=3)
# Opens at once and is over at once.
EAGER = Policy(failures=1, pauses=(timedelta(0),))


def fail(db: Engine, times: int, policy: Policy = POLICY, name: str = NAME) -> None:
    for _ in range(times):
        with db.begin() as conn:
            breaker_rows.failed(conn, name, "no answer", policy)


def ask(db: Engine, policy: Policy = POLICY) -> Permit | Refusal:
    with db.begin() as conn:
        return breaker_rows.allow(conn, NAME, policy)


def test_times_are_the_databases(db: Engine) -> None:
    assert isinstance(ask(db), Permit)
    fail(db, 3)
    refusal = ask(db)
    assert isinstance(refusal, Refusal)
    with db.connect() as conn:
        left = refusal.until - conn.execute(select(func.clock_timestamp())).scalar_one()
    assert timedelta(minutes=4, seconds=50) < left <= timedelta(minutes=5)
    assert refusal.reason == "no answer"


def test_entering_a_closed_breaker_takes_no_lock_and_writes_nothing(db: Engine) -> None:
    assert ask(db) == Permit(0)
    with db.connect() as conn:
        assert breaker_statuses(conn) == []
    fail(db, 1)
    with db.begin() as holder:
        breaker_rows.failed(holder, NAME, "not committed yet", POLICY)
        assert ask(db) == Permit(0)


def test_an_error_as_long_as_a_page_is_cut(db: Engine) -> None:
    with db.begin() as conn:
        breaker_rows.failed(conn, NAME, "x" * 10_000, POLICY)
        (found,) = breaker_statuses(conn)
    assert found.last_error == "x" * breaker_rows.MAX_ERROR_LENGTH


def test_work_that_rolls_back_counts_nothing(db: Engine) -> None:
    with db.connect() as conn:
        for _ in range(3):
            breaker_rows.failed(conn, NAME, "no answer", POLICY)
        conn.rollback()
    with db.connect() as conn:
        assert breaker_statuses(conn) == []


def test_failures_of_many_at_once_are_all_counted(db: Engine) -> None:
    policy = Policy(failures=41)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fail(db, 5, policy), range(8)))
    with db.connect() as conn:
        (found,) = breaker_statuses(conn)
    assert (found.state, found.failures) == ("closed", 40)
    fail(db, 1, policy)
    with db.connect() as conn:
        assert breaker_statuses(conn)[0].state == "open"


def test_one_of_many_concurrent_callers_gets_the_probe(db: Engine) -> None:
    fail(db, 1, EAGER)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(db, EAGER), range(40)))
    assert sum(isinstance(answer, Permit) for answer in answers) == 1


def _ask_in_a_process(url: str) -> bool:
    pool = role_engine(Role.PIPELINES, url, pool_size=1)
    try:
        return isinstance(ask(pool, EAGER), Permit)
    finally:
        pool.dispose()


def test_state_is_shared_between_processes(db: Engine, database: str) -> None:
    fail(db, 1, EAGER)
    db.dispose()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        permits = list(pool.map(_ask_in_a_process, [database] * 6))
    assert sorted(permits) == [False] * 5 + [True]
    with db.connect() as conn:
        assert breaker_statuses(conn)[0].state == "half_open"


def test_a_success_of_work_whose_permit_is_forgotten_answers_the_probe(db: Engine) -> None:
    fail(db, 1, EAGER)
    with db.begin() as conn:
        assert breaker_rows.succeeded(conn, NAME).state is State.OPEN
    ask(db, EAGER)
    with db.begin() as conn:
        assert breaker_rows.succeeded(conn, NAME).state is State.CLOSED


def test_an_alert_after_five_minutes_and_none_when_it_is_over(db: Engine) -> None:
    fail(db, 3)
    fail(db, 1, name="rpc:a.example")

    def alerts_after(minutes: float) -> list[tuple[str, str]]:
        with db.begin() as conn:
            now = conn.execute(select(func.now())).scalar_one() + timedelta(minutes=minutes)
            update_breaker_alerts(conn, now=now)
            statement = select(alerts).where(alerts.c.cleared_at.is_(None))
            return [(f"{row.topic}:{row.subject}", row.message) for row in conn.execute(statement)]

    assert alerts_after(4.9) == []
    ((key, message),) = alerts_after(5.1)
    assert key == f"breaker:{NAME}"
    assert f"{NAME} has been stopped for 5 min" in message
    assert len(alerts_after(30)) == 1
    with db.begin() as conn:
        # Only the probe is under way: still not over.
        permit = breaker_rows.allow(
            conn,
            NAME,
            POLICY,
            now=conn.execute(select(func.now())).scalar_one() + timedelta(hours=1),
        )
        assert isinstance(permit, Permit)
    assert len(alerts_after(61)) == 1
    with db.begin() as conn:
        breaker_rows.succeeded(conn, NAME, permit.generation)
    assert alerts_after(62) == []


def test_only_privileged_roles_may_write_breakers(database: str, db: Engine) -> None:
    for role in (Role.API, Role.READ, Role.INGEST):
        pool = role_engine(role, database, pool_size=1)
        try:
            with pytest.raises(ProgrammingError, match="permission denied"):
                fail(pool, 1)
            with pool.connect() as conn:
                assert breaker_statuses(conn) == []
        finally:
            pool.dispose()


@pytest.fixture
def command(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> CliRunner:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path_factory.mktemp("state")))
    name_database(monkeypatch, database)
    return CliRunner()


def test_the_command_lists_and_resets(db: Engine, command: CliRunner) -> None:
    nothing = command.invoke(main, ["breakers"])
    assert (nothing.exit_code, nothing.output) == (0, "no failures so far\n")
    fail(db, 3)
    fail(db, 1, name="rpc:a.example")
    with db.begin() as conn:
        update_breaker_alerts(
            conn, now=conn.execute(select(func.now())).scalar_one() + timedelta(minutes=6)
        )
    listed = command.invoke(main, ["breakers"])
    assert listed.exit_code == 1
    first, error, second, _ = listed.output.splitlines()
    assert first.startswith(f"open       {NAME}  since 20")
    assert "3 failures in a row" in first
    assert error.strip() == "no answer"
    assert second == "closed     rpc:a.example  1 failures in a row"
    facts = json.loads(command.invoke(main, ["breakers", "--json"]).stdout)
    assert [fact["name"] for fact in facts] == [NAME, "rpc:a.example"]
    unknown = command.invoke(main, ["breakers", "reset", "rpc:nowhere"])
    assert (unknown.exit_code, "no breaker rpc:nowhere" in unknown.stderr) == (2, True)
    done = command.invoke(main, ["breakers", "reset", NAME])
    assert (done.exit_code, done.output) == (0, f"{NAME} is closed\n")
    assert isinstance(ask(db), Permit)
    with db.connect() as conn:
        assert conn.execute(select(alerts.c.cleared_at)).scalars().all() != [None]
    assert command.invoke(main, ["breakers"]).exit_code == 0
