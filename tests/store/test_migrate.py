"""The migrated schema is the one the tables describe, and migrating is safe."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import ProgrammingError

from tests.api import seed
from tests.store.conftest import Engines
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store import migrate as migration
from zmart_pipelines.store.engine import Role, database_url, login_engine
from zmart_pipelines.store.migrate import (
    UnknownRevision,
    has_current_schema,
    is_current,
    migrate,
)
from zmart_pipelines.store.queries import market_counts
from zmart_pipelines.store.tables import SCHEMAS, metadata
from zmart_pipelines.store.tables.listings import listings

# Everything Postgres knows of our tables: columns, defaults, comments, constraints, indexes.
CATALOGUE = """
SELECT 'column', n.nspname, c.relname, a.attname,
    format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || a.attidentity::text || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r'
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND k.contype <> 't'  -- triggers are not described in tables
UNION ALL
SELECT 'index', n.nspname, c.relname, i.relname, pg_get_indexdef(x.indexrelid)
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indrelid
JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s)
UNION ALL
SELECT 'comment', n.nspname, c.relname, coalesce(a.attname, ''), d.description
FROM pg_description AS d
JOIN pg_class AS c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass AND c.relkind = 'r'
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND a.attnum > 0
WHERE n.nspname = ANY(%s)
ORDER BY 1, 2, 3, 4
"""


@pytest.fixture
def empty(postgres_server: PostgresServer) -> str:
    """URL of an empty database of its own."""
    name = "empty"
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        postgres_server.create_database(admin, name)
    return postgres_server.url(name)


def catalogue(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as conn:
        schemas = list(SCHEMAS)
        return conn.execute(CATALOGUE, (schemas,) * 4).fetchall()


def test_migrated_schema_equals_table_definitions(database: str, empty: str) -> None:
    with login_engine(empty).begin() as conn:
        for schema in SCHEMAS:
            conn.execute(text(f"CREATE SCHEMA {schema}"))
        metadata.create_all(conn)
    migrated, described = catalogue(database), catalogue(empty)
    assert len(migrated) > 250
    assert [row for row in migrated if row not in described] == []
    assert [row for row in described if row not in migrated] == []


def test_alembic_autogenerate_finds_no_difference(engines: Engines) -> None:
    with engines[Role.OWNER].connect() as conn:
        context = MigrationContext.configure(
            conn,
            opts={
                "include_schemas": True,
                "include_name": lambda name, type_, _parents: type_ != "schema" or name in SCHEMAS,
                "compare_type": True,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_concurrent_and_repeated_migrations_apply_once(empty: str) -> None:
    assert not is_current(empty)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(migrate, [empty] * 8))
    assert is_current(empty)
    before = catalogue(empty)
    migrate(empty)
    assert catalogue(empty) == before


def test_signatures_of_older_ballots_are_recorded_as_used(empty: str) -> None:
    with login_engine(empty).connect() as conn:
        command.upgrade(migration._config(conn), "0001_baseline")
        conn.execute(text("SET ROLE zmart_owner"))
        for number, scheme in ((1, "zmart-1"), (2, "login-body")):
            conn.execute(
                text(
                    "INSERT INTO voting.ballots (market_id, kind, wallet, choice, scheme, message,"
                    " signature, nonce) VALUES (:key, 'proposal', :key, true, :scheme, 'm',"
                    " :signature, 'n')"
                ),
                {
                    "key": bytes([number]) * 32,
                    "scheme": scheme,
                    "signature": bytes([number]) * 64,
                },
            )
        conn.execute(text("RESET ROLE"))
        conn.commit()
    migrate(empty)
    with psycopg.connect(empty) as conn:
        conn.execute("SET ROLE zmart_owner")
        found = conn.execute("SELECT signature, action FROM community.signed_requests").fetchall()
    assert found == [(bytes([2]) * 64, "ballot")]


def test_rows_of_before_the_read_api_are_counted_and_listed(empty: str) -> None:
    """What triggers maintain is made for the rows that were there when they came."""
    migrate(empty, "0007_superseded_readings")
    ids = [bytes([number]) * 32 for number in range(1, 5)]
    owner = role_engine(Role.OWNER, empty)
    with owner.begin() as conn:
        for number, market_id in enumerate(ids, 1):
            seed.market(conn, market_id, state=number, total_volume=number)
            seed.trade(conn, market_id, seed.wallet(number), number)
            seed.position(conn, market_id, seed.wallet(number))
        seed.question(conn, ids[0], "Will it rain in Ghent tomorrow?", "science")
        seed.question(conn, ids[1], "Will it snow in Ghent tomorrow?", "sports")
    migrate(empty)
    assert is_current(empty)
    with owner.connect() as conn:
        assert market_counts.differences(conn) == []
        listed = conn.execute(select(listings.c.market_id, listings.c.category)).all()
    owner.dispose()
    assert dict(map(tuple, listed)) == {
        ids[0]: "science",
        ids[1]: "sports",
        ids[2]: None,
        ids[3]: None,
    }


def test_texts_of_comments_deleted_before_leave_their_rows(empty: str) -> None:
    migrate(empty, "0019_row_security")
    owner = role_engine(Role.OWNER, empty)
    wallet = bytes(32)
    with owner.begin() as conn:
        conn.execute(text("INSERT INTO community.users (wallet) VALUES (:w)"), {"w": wallet})
        for content, deleted in (("shown", None), ("deleted", "2026-01-01T00:00:00Z")):
            conn.execute(
                text(
                    "INSERT INTO community.discussions (market_id, wallet, content, deleted_at)"
                    " VALUES (:w, :w, :content, CAST(:deleted AS timestamptz))"
                ),
                {"w": wallet, "content": content, "deleted": deleted},
            )
    migrate(empty)
    with owner.connect() as conn:
        texts = conn.execute(text("SELECT content FROM community.discussions ORDER BY content"))
        assert list(texts.scalars()) == ["", "shown"]
        moved = conn.execute(text("SELECT content, replaced_at FROM community.former_texts")).all()
        assert [(row.content, row.replaced_at.year) for row in moved] == [("deleted", 2026)]
    owner.dispose()


@pytest.mark.parametrize("revision", ["0001", "0009", "ffff"])
def test_migrate_rejects_a_database_of_another_version(empty: str, revision: str) -> None:
    with login_engine(empty).begin() as conn:
        conn.execute(text("CREATE TABLE public.schema_version (version_num varchar(32))"))
        conn.execute(text("INSERT INTO public.schema_version VALUES (:r)"), {"r": revision})
    with pytest.raises(UnknownRevision, match=f"{revision}.*zmart reset"):
        migrate(empty)
    assert not is_current(empty)
    assert catalogue(empty) == []


def test_every_role_can_check_whether_the_schema_is_current(engines: Engines, empty: str) -> None:
    for role, one in engines.items():
        with one.connect() as conn:
            assert has_current_schema(conn) is (role is not Role.DAGSTER)
    with login_engine(empty).connect() as conn:
        assert not has_current_schema(conn)
        assert conn.execute(text("SELECT 1")).scalar_one() == 1


def test_dagsters_login_can_create_tables_in_its_schema(engines: Engines) -> None:
    with engines[Role.DAGSTER].begin() as conn:
        conn.execute(text("CREATE TABLE dagster.runs (id int)"))


def test_login_user_has_no_rights_on_our_tables(database: str) -> None:
    with login_engine(database).connect() as conn, pytest.raises(ProgrammingError):
        conn.execute(text("SELECT * FROM chain.events"))


def test_connections_set_utc_statement_timeout_and_application_name(engines: Engines) -> None:
    for role, one in engines.items():
        with one.connect() as conn:
            row = _settings(conn)
        assert row == (role.value, "UTC", "30s", role.value), role


def _settings(conn: Connection) -> tuple[str, ...]:
    return tuple(
        conn.execute(
            text(
                "SELECT current_user::text, current_setting('TimeZone'),"
                " current_setting('statement_timeout'), current_setting('application_name')"
            )
        ).one()
    )


@pytest.mark.parametrize("prefix", ["postgres", "postgresql", "postgresql+psycopg"])
def test_common_url_prefixes_are_accepted(database: str, prefix: str) -> None:
    url = database.replace("postgresql", prefix, 1)
    with role_engine(Role.READ, url).connect() as conn:
        assert conn.execute(text("SELECT 1")).scalar_one() == 1


def test_other_database_systems_are_rejected() -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        database_url("mysql://somewhere/else")


def test_every_column_documents_its_origin() -> None:
    columns = [column for table in metadata.sorted_tables for column in table.columns]
    assert len(columns) > 300
    missing = [str(column) for column in columns if not (column.comment or "").strip()]
    assert missing == []
