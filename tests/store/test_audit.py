"""The audit log: what a row says, and who may write and read it."""

from __future__ import annotations

import os
import pwd

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tests.store.conftest import Engines
from zmart_pipelines.store import audit
from zmart_pipelines.store.audit import Actor, DagsterActor, OsActor, ServiceActor, WalletActor
from zmart_pipelines.store.engine import Role, act_as, act_as_operator
from zmart_pipelines.store.tables.audit import audit as table

A, B = bytes([1]) * 32, bytes([2]) * 32


def rows(conn: Connection) -> list[str]:
    return list(conn.execute(select(table.c.action).order_by(table.c.id)).scalars())


@pytest.mark.parametrize(
    ("actor", "columns"),
    [
        (WalletActor(A), (A, None, None, None, None)),
        (ServiceActor("desk", 7), (None, "desk", 7, None, None)),
        (ServiceActor("system", None), (None, "system", None, None, None)),
    ],
)
def test_act_through_the_api_names_the_wallet_or_the_key(
    engines: Engines, actor: Actor, columns: tuple[object, ...]
) -> None:
    with engines[Role.API].begin() as conn:
        act_as_operator(conn, actor.wallet if isinstance(actor, WalletActor) else None)
        audit.record(conn, actor, "api", "hide_comment", "c-1", " spam ", {"market": "01"})
        row = conn.execute(select(table)).one()
    assert tuple(row[3:8]) == columns
    assert (row.entry_point, row.action, row.subject) == ("api", "hide_comment", "c-1")
    assert (row.reason, row.details) == ("spam", {"market": "01"})


@pytest.mark.parametrize("role", [Role.OWNER, Role.PIPELINES, Role.INGEST])
def test_command_line_and_dagster_record_through_the_systems_logins(
    engines: Engines, role: Role
) -> None:
    with engines[role].begin() as conn:
        audit.record(conn, OsActor("root"), "cli", "switch", "all")
        audit.record(conn, DagsterActor("ui"), "dagster", "switch", "all")
        assert rows(conn) == ["switch", "switch"]
        found = conn.execute(select(table.c.os_user, table.c.dagster_user)).all()
    assert [tuple(row) for row in found] == [("root", None), (None, "ui")]


def test_systems_logins_cannot_record_in_the_name_of_the_api(engines: Engines) -> None:
    with engines[Role.PIPELINES].begin() as conn, pytest.raises(ProgrammingError, match="security"):
        audit.record(conn, WalletActor(A), "api", "switch")


def test_api_neither_reads_nor_records_except_for_an_operator(engines: Engines) -> None:
    api = engines[Role.API]
    with api.begin() as conn:
        act_as_operator(conn, A)
        audit.record(conn, WalletActor(A), "api", "switch")
        assert rows(conn) == ["switch"]
    with api.begin() as conn:
        act_as(conn, A)
        assert rows(conn) == [], "the right ended with its transaction"
        with pytest.raises(ProgrammingError, match="row-level security"):
            audit.record(conn, WalletActor(A), "api", "switch")


@pytest.mark.parametrize("actor", [WalletActor(B), WalletActor(A)])
def test_api_records_under_the_acting_wallet_alone(engines: Engines, actor: WalletActor) -> None:
    with engines[Role.API].begin() as conn:
        act_as_operator(conn, None if actor.wallet == A else A)
        with pytest.raises(ProgrammingError, match="row-level security"):
            audit.record(conn, actor, "api", "switch")


def test_api_cannot_record_for_another_entry_point(engines: Engines) -> None:
    with engines[Role.API].begin() as conn:
        act_as_operator(conn, None)
        with pytest.raises(ProgrammingError, match="row-level security"):
            audit.record(conn, OsActor("root"), "cli", "switch")


def test_act_that_is_rolled_back_leaves_no_row(engines: Engines) -> None:
    with engines[Role.PIPELINES].connect() as conn:
        audit.record(conn, OsActor("root"), "cli", "switch")
        conn.rollback()
        assert rows(conn) == []


@pytest.mark.parametrize("action", ["", "Switch", "switch off", "_switch", "drop;"])
def test_action_is_a_name(engines: Engines, action: str) -> None:
    with engines[Role.OWNER].connect() as conn, pytest.raises(IntegrityError, match="action"):
        audit.record(conn, OsActor("root"), "cli", action)


def test_row_without_an_actor_is_refused(engines: Engines) -> None:
    with engines[Role.OWNER].connect() as conn, pytest.raises(IntegrityError, match="actor"):
        conn.exec_driver_sql("INSERT INTO ops.audit (entry_point, action) VALUES ('cli', 'a')")


def test_command_lines_actor_is_the_account_not_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "someone-else")
    assert audit.os_actor() == OsActor(pwd.getpwuid(os.getuid()).pw_name)
