"""Errors that concern the database as a whole, distinguished from those of a statement."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.outages import concerns_database


def test_ended_idle_transaction_concerns_the_database(database: str) -> None:
    """Its error class is neither operational nor of a connection."""
    pool = role_engine(Role.PIPELINES, database)
    with pool.connect() as conn:
        conn.execute(text("SET idle_in_transaction_session_timeout = 1"))
        time.sleep(0.5)
        with pytest.raises(DBAPIError) as caught:
            conn.execute(text("SELECT 1"))
    pool.dispose()
    assert concerns_database(caught.value)


def test_absent_server_concerns_the_database() -> None:
    pool = role_engine(Role.PIPELINES, f"postgresql://a:b@127.0.0.1:{unused_port()}/none")
    with pytest.raises(DBAPIError) as caught:
        pool.connect()
    assert concerns_database(caught.value)


@pytest.mark.parametrize(
    "statement", ["SELECT 1 / 0", "SELECT nothing", "UPDATE chain.events SET slot = 1"]
)
def test_error_of_a_statement_does_not(database: str, statement: str) -> None:
    pool = role_engine(Role.READ, database)
    with pytest.raises(DBAPIError) as caught, pool.connect() as conn:
        conn.execute(text(statement))
    pool.dispose()
    assert not concerns_database(caught.value)
