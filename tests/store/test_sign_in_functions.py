"""The functions of signing in act as the wallet that they are given, for one statement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tests.store.conftest import Engines
from zmart_pipelines.store.engine import LOGINS, Role, act_as

A, B = bytes([0xA]) * 32, bytes([0xB]) * 32
NONCE = "0123456789abcdef" * 2
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FUNCTIONS = ("add_nonce", "take_nonce", "start_session")
ADD = "SELECT accounts.add_nonce(:wallet, :nonce, 'http://x', :now, :now)"
TAKE = "SELECT wallet, origin, issued_at FROM accounts.take_nonce(:wallet, :nonce)"
START = (
    "SELECT id, expires_at, refresh_expires_at"
    " FROM accounts.start_session(:wallet, 'csrf', 'agent', '192.0.2.1', :hash, :session, :token)"
)


def rows(conn: Connection, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in conn.execute(text(statement), values)]


def add(engines: Engines, wallet: bytes) -> None:
    with engines[Role.API].begin() as conn:
        rows(conn, ADD, wallet=wallet, nonce=NONCE, now=NOW)


def take(engines: Engines, wallet: bytes) -> list[tuple[Any, ...]]:
    with engines[Role.API].begin() as conn:
        return rows(conn, TAKE, wallet=wallet, nonce=NONCE)


def test_nonce_is_taken_once_and_by_its_wallet(engines: Engines) -> None:
    add(engines, A)
    assert take(engines, B) == []
    assert take(engines, A) == [(A, "http://x", NOW)]
    assert take(engines, A) == []


def test_session_starts_with_its_first_token(engines: Engines) -> None:
    lifetimes = {"session": timedelta(days=10), "token": timedelta(days=14)}
    with engines[Role.API].begin() as conn:
        ((session, expires, refresh_expires),) = rows(
            conn, START, wallet=A, hash=bytes(32), **lifetimes
        )
    # A token never outlives its session.
    assert refresh_expires == expires
    with engines[Role.OWNER].connect() as conn:
        stored = "SELECT s.id, s.wallet, s.csrf, s.user_agent, s.address, s.expires_at,"
        stored += " t.hash, t.wallet, t.expires_at, t.used_at FROM accounts.sessions AS s"
        stored += " JOIN accounts.refresh_tokens AS t ON t.session = s.id"
        assert rows(conn, stored) == [
            (session, A, "csrf", "agent", "192.0.2.1", expires, bytes(32), A, expires, None)
        ]
    with engines[Role.API].connect() as conn, pytest.raises(IntegrityError):
        rows(conn, START, wallet=A, hash=bytes(32), **lifetimes)


def test_identity_ends_with_the_statement(engines: Engines) -> None:
    """On one connection, without a transaction block."""
    seen = "SELECT count(*) FROM accounts.nonces"
    with engines[Role.API].connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        rows(conn, ADD, wallet=A, nonce=NONCE, now=NOW)
        assert rows(conn, seen) == [(0,)]
        assert rows(conn, "SELECT NULLIF(current_setting('app.wallet', true), '')") == [(None,)]
    with engines[Role.API].begin() as conn:
        act_as(conn, A)
        assert rows(conn, seen) == [(1,)]


@pytest.mark.parametrize("role", LOGINS)
def test_only_the_apis_login_may_call_them(engines: Engines, role: Role) -> None:
    callers = text(
        "SELECT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE n.nspname = 'accounts' AND p.proname = ANY(:names)"
        " AND has_function_privilege(:role, p.oid, 'EXECUTE')"
    )
    with engines[Role.OWNER].connect() as conn:
        found = conn.execute(callers, {"names": list(FUNCTIONS), "role": role.value}).scalars()
        assert set(found) == (set(FUNCTIONS) if role is Role.API else set())


def test_they_run_with_the_rights_of_their_caller(engines: Engines) -> None:
    """A login without rights to the tables gains none by them."""
    with engines[Role.OWNER].begin() as conn:
        conn.execute(text("GRANT USAGE ON SCHEMA accounts TO zmart_read"))
        conn.execute(text("GRANT EXECUTE ON FUNCTION accounts.take_nonce TO zmart_read"))
    with (
        engines[Role.READ].connect() as conn,
        pytest.raises(ProgrammingError, match="permission denied for table nonces"),
    ):
        rows(conn, TAKE, wallet=A, nonce=NONCE)
