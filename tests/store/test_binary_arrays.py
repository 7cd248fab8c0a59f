"""Packed arrays and pipelined statements, on a real Postgres."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.binary_arrays import PACKERS
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.locks import lock
from zmart_pipelines.store.statement_pipeline import Statement, pipelined, run
from zmart_pipelines.store.tables import chain


def _signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


ITEMS: dict[str, st.SearchStrategy[object]] = {
    "bytea": st.binary(max_size=70),
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "boolean": st.booleans(),
    "smallint": _signed(16),
    "integer": _signed(32),
    "bigint": _signed(64),
    "timestamp with time zone": st.datetimes(
        datetime(1900, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
        timezones=st.just(UTC),
    ),
}


@pytest.fixture
def db(database: str) -> Iterator[Engine]:
    made = role_engine(Role.INGEST, database)
    yield made
    made.dispose()


@pytest.fixture
def conn(db: Engine) -> Iterator[Connection]:
    with db.connect() as opened:
        yield opened


def test_every_type_has_its_items() -> None:
    assert set(ITEMS) == set(PACKERS)


@pytest.mark.parametrize("name", sorted(PACKERS))
def test_postgres_reads_packed_arrays(conn: Connection, name: str) -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.none() | ITEMS[name], max_size=20))
    def check(values: list[object]) -> None:
        query = f"SELECT %b::{name}[]"
        assert run(conn, Statement(query, (PACKERS[name](values),))).scalar_one() == values

    check()


def test_out_of_range_number_is_rejected_before_sending() -> None:
    with pytest.raises(struct.error, match=r"format requires|out of range"):
        PACKERS["smallint"]([2**15])


def test_pipelined_results_arrive_in_order_within_the_block(conn: Connection) -> None:
    with pipelined(conn) as send:
        cursors = [send(Statement("SELECT %b::int8", (number,))) for number in range(20)]
        assert cursors[7].fetchall() == [(7,)]
        assert [cursor.fetchall()[0][0] for cursor in cursors[8:]] == list(range(8, 20))
    assert conn.execute(text("SELECT 1")).scalar_one() == 1


def test_pipelined_statements_belong_to_the_connections_transaction(db: Engine) -> None:
    insert = Statement("INSERT INTO chain.cursors (name) VALUES (%b)", ("pipelined",))
    names = select(chain.cursors.c.name)
    with db.connect() as conn:
        with pipelined(conn) as send:
            send(insert)
        assert conn.in_transaction()
        conn.rollback()
        assert conn.execute(names).scalars().all() == []
        conn.rollback()
        with pipelined(conn) as send:
            send(insert)
        conn.commit()
    with db.connect() as conn:
        assert conn.execute(names).scalars().all() == ["pipelined"]


def test_first_pipelined_error_is_raised_and_connection_stays_usable(conn: Connection) -> None:
    insert = Statement("INSERT INTO chain.cursors (name) VALUES (%b)", ("twice",))

    def send_all() -> None:
        with pipelined(conn) as send:
            for statement in (insert, insert, Statement("SELECT 1 / 0")):
                send(statement)

    with pytest.raises(IntegrityError) as caught:
        send_all()
    assert isinstance(caught.value.orig, psycopg.errors.UniqueViolation)
    assert "twice" not in str(caught.value.statement)
    conn.rollback()
    assert conn.execute(text("SELECT 1")).scalar_one() == 1


def test_broken_connection_is_not_reused(db: Engine, postgres_server: PostgresServer) -> None:
    with db.connect() as conn:
        lock(conn, 1)
        number = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(postgres_server.url("postgres", SUPERUSER)) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (number,))
        with pytest.raises(DBAPIError), pipelined(conn) as send:
            send(Statement("SELECT 1"))
        assert conn.invalidated
    with db.connect() as conn:
        assert conn.execute(text("SELECT 1")).scalar_one() == 1
