"""Each role logs in by itself, and none can become or do what another is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from sqlalchemy import make_url

from tests.store.secured_tables import SECURED
from tests.store.test_privileges import WRITES
from zmart_pipelines.runtime.postgres import OWNER, SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings, running_postgres
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS, MissingLogin, Role, engine, login_url
from zmart_pipelines.store.logins import LoginsMissing, ensure_logins, login_problem, url_for
from zmart_pipelines.store.migrate import is_current, migrate
from zmart_pipelines.store.tables import SCHEMAS

pytestmark = pytest.mark.process

OURS = tuple(role for role in LOGINS if role is not Role.DAGSTER)


def login(role: Role, url: str) -> str:
    return login_url(role, Settings.model_validate(login_settings(url)))


def denied(url: str, statement: str) -> bool:
    """Return whether a statement is refused for want of a privilege."""
    with psycopg.connect(url) as conn:
        try:
            conn.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
        except psycopg.Error:
            return False
        finally:
            conn.rollback()
    return False


@pytest.mark.parametrize("role", LOGINS)
def test_no_role_can_become_another(module_database: str, role: Role) -> None:
    url = login(role, module_database)
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT session_user::text, current_user::text").fetchone() == (
            role.value,
            role.value,
        )
    others = [OWNER, SUPERUSER, *(other.value for other in Role if other is not role)]
    for other in others:
        assert denied(url, f"SET ROLE {other}"), other
        assert denied(url, f"SET SESSION AUTHORIZATION {other}"), other
    assert login_problem(role, url) is None


@dataclass(frozen=True)
class Table:
    """A table, one of its columns, and the letters of the statements tried on it."""

    name: str
    column: str

    def statements(self) -> dict[str, str]:
        """Statements that change no row if refused, by the letters of ``WRITES``, r and t."""
        return {
            "r": f"SELECT FROM {self.name} WHERE false",
            "i": f"INSERT INTO {self.name} DEFAULT VALUES",
            "u": f"UPDATE {self.name} SET {self.column} = {self.column} WHERE false",
            "d": f"DELETE FROM {self.name} WHERE false",
            "t": f"TRUNCATE {self.name}",
        }


@pytest.fixture
def tables(module_database: str) -> list[Table]:
    with psycopg.connect(module_database) as conn:
        rows = conn.execute(
            "SELECT n.nspname || '.' || c.relname, quote_ident(min(a.attname)) FROM pg_class AS c"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
            " AND a.attidentity = '' AND NOT a.attisdropped"
            " WHERE n.nspname = ANY(%s) AND c.relkind = 'r' GROUP BY 1",
            (list(SCHEMAS),),
        ).fetchall()
    assert len(rows) > 25
    return [Table(*row) for row in rows]


@pytest.mark.parametrize("role", LOGINS)
def test_statements_on_tables_of_others_are_denied(
    module_database: str, role: Role, tables: list[Table]
) -> None:
    """With the login itself: everything but what the role needs is refused."""
    url = login(role, module_database)
    allowed = WRITES.get(role, {})
    wrong = []
    for table in tables:
        reads = "r" if role in OURS else ""
        letters = set(reads + allowed.get(table.name, ""))
        for letter, statement in table.statements().items():
            if letter not in letters and not denied(url, statement):
                wrong.append((table.name, letter))
    assert wrong == []


@pytest.mark.parametrize("role", OURS)
def test_dagsters_tables_are_dagsters_alone(module_database: str, role: Role) -> None:
    with psycopg.connect(login(Role.DAGSTER, module_database)) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS dagster.runs (id int)")
    url = login(role, module_database)
    for statement in (
        "SELECT * FROM dagster.runs",
        "DELETE FROM dagster.runs",
        "CREATE TABLE dagster.other (id int)",
        "CREATE TABLE public.other (id int)",
        "CREATE SCHEMA other",
    ):
        assert denied(url, statement), statement


def test_the_frozen_tally_of_the_report(module_database: str) -> None:
    """What the single login of before could do as any role."""
    url = login(Role.API, module_database)
    assert denied(url, "SET ROLE zmart_owner")
    assert denied(url, "UPDATE voting.tallies SET status = 'frozen', votes_for = 999")
    assert denied(
        url,
        "INSERT INTO voting.tallies (market_id, kind, status, votes_for, frozen_slot)"
        " VALUES (sha256('x'), 'proposal', 'frozen', 999, 1)",
    )


@pytest.mark.parametrize("role", LOGINS)
def test_a_wrong_or_missing_password_is_refused(module_database: str, role: Role) -> None:
    url = make_url(login(role, module_database))
    for password in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.set(password=password).render_as_string(hide_password=False))


def test_a_missing_login_names_its_setting_and_nothing_is_used_instead() -> None:
    settings = Settings(database_url="postgresql://zmart:geheim@127.0.0.1:1/zmart")
    for role in LOGINS:
        with pytest.raises(MissingLogin, match=role.setting.upper()) as caught:
            engine(role, settings)
        assert "geheim" not in str(caught.value)


def test_backup_reads_every_row_and_writes_none(
    database: str, postgres_server: PostgresServer
) -> None:
    wallet = "decode(repeat('07', 32), 'hex')"
    with psycopg.connect(login(Role.API, database)) as conn:
        conn.execute(f"SELECT set_config('app.wallet', encode({wallet}, 'hex'), true)".encode())
        conn.execute(f"INSERT INTO community.users (wallet) VALUES ({wallet})".encode())
    url = login(Role.BACKUP, database)
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT count(*) FROM community.users").fetchone() == (1,)
        policies = conn.execute(
            "SELECT schemaname || '.' || tablename FROM pg_policies"
            " WHERE 'zmart_backup' = ANY(roles) AND cmd = 'SELECT'"
        ).fetchall()
    assert {name for (name,) in policies} == set(SECURED)
    dumped = subprocess.run(
        [
            *(postgres_server.binaries / "pg_dump", "--enable-row-security", "--no-owner"),
            *(part for schema in SCHEMAS for part in ("-n", schema)),
            url,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert dumped.returncode == 0, dumped.stderr
    assert "COPY community.users" in dumped.stdout
    assert "\\\\x" + "07" * 32 in dumped.stdout


def test_tables_of_later_migrations_are_read_by_backups(database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute("SET ROLE zmart_owner")
        conn.execute("CREATE TABLE ops.later (id int)")
    with psycopg.connect(login(Role.BACKUP, database)) as conn:
        assert conn.execute("SELECT count(*) FROM ops.later").fetchone() == (0,)


@pytest.fixture(scope="module")
def old_cluster() -> Iterator[PostgresServer]:
    """A cluster as an earlier version left it: roles without logins."""
    with running_postgres(logins=False) as server:
        migrate(server.url(), "0001_baseline")
        with psycopg.connect(server.url()) as conn:
            conn.execute("CREATE TABLE dagster.runs (id bigserial PRIMARY KEY, body text)")
            conn.execute("INSERT INTO dagster.runs (body) VALUES ('kept')")
            conn.execute("CREATE INDEX ON dagster.runs (body)")
        yield server


def urls(server: PostgresServer, password: str) -> dict[Role, str]:
    return {role: url_for(role, server.url(), password) for role in LOGINS}


def test_an_earlier_database_is_upgraded_in_place(old_cluster: PostgresServer) -> None:
    wanted = urls(old_cluster, "first-password")
    for role, url in wanted.items():
        assert login_problem(role, url) is not None
    for _ in range(2):
        migrate(old_cluster.url())
        ensure_logins(old_cluster.url(), wanted)
    assert is_current(old_cluster.url())
    assert {role: login_problem(role, url) for role, url in wanted.items()} == dict.fromkeys(LOGINS)
    with psycopg.connect(wanted[Role.DAGSTER]) as conn:
        conn.execute("INSERT INTO dagster.runs (body) VALUES ('more')")
        conn.execute("ALTER TABLE dagster.runs ADD COLUMN later int")  # as Dagster's migrations do
        assert conn.execute("SELECT count(*) FROM dagster.runs").fetchone() == (2,)
    assert denied(old_cluster.url(), "SET ROLE zmart_dagster"), "only lent for the transfer"


def test_logins_of_another_installation_keep_their_passwords(old_cluster: PostgresServer) -> None:
    migrate(old_cluster.url())
    ensure_logins(old_cluster.url(), urls(old_cluster, "first-password"), reset=True)
    with pytest.raises(LoginsMissing, match="set DATABASE_URL_API") as caught:
        ensure_logins(old_cluster.url(), urls(old_cluster, "second-password"))
    assert "second-password" not in str(caught.value)
    assert login_problem(Role.API, urls(old_cluster, "first-password")[Role.API]) is None
    ensure_logins(old_cluster.url(), urls(old_cluster, "second-password"), reset=True)
    assert login_problem(Role.API, urls(old_cluster, "second-password")[Role.API]) is None
    assert login_problem(Role.API, urls(old_cluster, "first-password")[Role.API]) is not None


def test_passwords_are_in_no_log_of_the_server(old_cluster: PostgresServer) -> None:
    with psycopg.connect(old_cluster.url("postgres", SUPERUSER), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {OWNER} SET log_statement = 'all'".encode())
    ensure_logins(old_cluster.url(), urls(old_cluster, "logged-password"), reset=True)
    log = (old_cluster.home.parent / "log").read_text()
    assert "ROLE" in log
    assert "SCRAM-SHA-256" in log
    assert "logged-password" not in log


def test_an_owner_who_may_create_no_logins_is_told_what_to_set(old_cluster: PostgresServer) -> None:
    migrate(old_cluster.url())
    with psycopg.connect(old_cluster.url("postgres", SUPERUSER), autocommit=True) as admin:
        admin.execute("ALTER ROLE zmart_api NOLOGIN")
        admin.execute("CREATE ROLE clerk LOGIN PASSWORD 'clerk-password'")
    clerk = make_url(old_cluster.url()).set(username="clerk", password="clerk-password")
    with pytest.raises(LoginsMissing) as caught:
        ensure_logins(
            clerk.render_as_string(hide_password=False), urls(old_cluster, "third-password")
        )
    assert "DATABASE_URL_API" in str(caught.value)
    assert "third-password" not in str(caught.value)


def test_a_login_with_more_rights_than_its_role_is_a_problem(old_cluster: PostgresServer) -> None:
    migrate(old_cluster.url())
    ensure_logins(old_cluster.url(), urls(old_cluster, "pw"), reset=True)
    with psycopg.connect(old_cluster.url("postgres", SUPERUSER), autocommit=True) as admin:
        admin.execute("CREATE ROLE svc LOGIN INHERIT PASSWORD 'pw'")
        admin.execute("GRANT zmart_read TO svc")
        svc = make_url(old_cluster.url()).set(username="svc", password="pw")
        url = svc.render_as_string(hide_password=False)
        assert login_problem(Role.READ, url) is None, "a member has the role's rights"
        admin.execute("GRANT zmart_owner TO svc")
        assert "zmart_owner" in str(login_problem(Role.READ, url))
    assert "superuser" in str(login_problem(Role.READ, old_cluster.url(user=SUPERUSER)))
    assert "not the rights" in str(login_problem(Role.READ, urls(old_cluster, "pw")[Role.API]))
