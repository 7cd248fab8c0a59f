"""A pooled connection that the server closed is replaced, and no statement is spent on tests."""

from __future__ import annotations

import time

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role


@pytest.fixture
def one_connection(database: str) -> Engine:
    return role_engine(Role.READ, database, pool_size=1, max_overflow=0)


def backend_pid(pool: Engine) -> int:
    with pool.connect() as conn:
        return int(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_closed_connection_is_replaced(
    one_connection: Engine, postgres_server: PostgresServer
) -> None:
    pid = backend_pid(one_connection)
    assert backend_pid(one_connection) == pid
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    assert backend_pid(one_connection) != pid


def test_open_connection_is_not_tested(
    one_connection: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend_pid(one_connection)
    pings: list[object] = []
    monkeypatch.setattr(one_connection.dialect, "do_ping", pings.append)
    backend_pid(one_connection)
    assert pings == []


def test_notice_while_idle_does_not_lose_the_connection(one_connection: Engine) -> None:
    """Data on an idle socket need not mean that it was closed."""
    connected: list[object] = []
    event.listen(one_connection, "connect", lambda *arguments: connected.append(arguments))
    with one_connection.connect() as conn:
        conn.exec_driver_sql("LISTEN anything")
        conn.commit()
    with psycopg.connect(
        one_connection.url.render_as_string(hide_password=False).replace("+psycopg", "")
    ) as other:
        other.execute("NOTIFY anything")
        other.commit()
    time.sleep(0.05)
    backend_pid(one_connection)
    assert len(connected) == 1
