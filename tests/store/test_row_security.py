"""Row-level security: every table has policies or a reason, and each policy is needed."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tests.fixtures.postgres import fresh_database
from tests.store.conftest import Engines
from tests.store.secured_tables import (
    IDENTITIES,
    LIKE,
    REASONS,
    SECURED,
    A,
    B,
    Identity,
    SecuredTable,
)
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.store.engine import Role, act_as, database_url
from zmart_pipelines.store.tables import SCHEMAS

PROJECT = Path(__file__).resolve().parents[2]
# Postgres's code of a refused statement, whether a grant or a policy is missing.
REFUSED = "42501"

_TABLES = text(
    """
    SELECT n.nspname || '.' || c.relname AS name,
        c.relrowsecurity AND c.relforcerowsecurity AS forced,
        (SELECT count(*) FROM pg_policy AS p WHERE p.polrelid = c.oid) AS policies
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'p', 'm')
    """
)
_POLICIES = text(
    """
    SELECT schemaname || '.' || tablename AS table_name, policyname AS name, qual, with_check
    FROM pg_policies WHERE schemaname = ANY(:schemas) ORDER BY 1, 2
    """
)


@pytest.fixture(scope="module")
def scratch(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A migrated database, as the superuser, who may become every role."""
    with fresh_database(postgres_server, migrated_template) as url:
        yield postgres_server.url(url.rpartition("/")[2], SUPERUSER)


@pytest.fixture
def superuser(scratch: str) -> Iterator[Connection]:
    """One transaction that is rolled back, whatever it did to the policies."""
    engine = create_engine(database_url(scratch))
    with engine.connect() as conn:
        yield conn
        conn.rollback()
    engine.dispose()


def unexplained(conn: Connection) -> list[str]:
    """Return what is wrong about which tables have policies."""
    found = {row.name: row for row in conn.execute(_TABLES, {"schemas": list(SCHEMAS)})}
    reasoned = {name for names in REASONS.values() for name in names}
    wrong = [f"{name}: there is no such table" for name in {*reasoned, *SECURED} - set(found)]
    for name, row in found.items():
        if name in SECURED and not (row.forced and row.policies):
            wrong.append(f"{name}: row-level security is not forced")
        if name not in SECURED and (row.forced or row.policies):
            wrong.append(f"{name}: has policies, and no entry in SECURED")
        if name not in SECURED and name not in reasoned:
            wrong.append(f"{name}: has neither policies nor a reason")
    return sorted(wrong)


def attempted(conn: Connection, run: Callable[[], list[str]]) -> list[str]:
    """Return what ``run`` returns, none where it is refused; nothing of it remains."""
    attempt = conn.begin_nested()
    try:
        return sorted(run())
    except (ProgrammingError, IntegrityError) as refusal:
        state = str(getattr(refusal.orig, "sqlstate", ""))
        if state != REFUSED and not state.startswith("23"):
            raise
        return []
    finally:
        attempt.rollback()


def become(conn: Connection, role: Role, identity: Identity) -> None:
    for name, value in IDENTITIES[identity].items():
        conn.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
    conn.execute(text(f"SET LOCAL ROLE {role.value}"))


def inserted(conn: Connection, table: SecuredTable) -> list[str]:
    values = {"key": bytes(32), "signature": bytes(64)}

    def insert(statement: str, wallet: bytes, label: str) -> list[str]:
        given = {**values, "wallet": wallet}
        conn.execute(text(statement), {k: v for k, v in given.items() if f":{k}" in statement})
        return [label]

    return [
        label
        for addition, statement in table.inserts.items()
        for letter, wallet in (("A", A), ("B", B))
        for label in attempted(
            conn,
            lambda s=statement, w=wallet, n=f"{letter}{addition}": insert(s, w, n),  # type: ignore[misc]
        )
    ]


def outcome(conn: Connection, name: str, role: Role, identity: Identity) -> str:
    """Return what the role reaches in the table, in the words of ``SECURED``."""
    table = SECURED[name]
    label = table.label_as.get(role, table.label)

    def labels(statement: str) -> list[str]:
        return attempted(conn, lambda: list(conn.execute(text(statement)).scalars()))

    world = conn.begin_nested()
    for statement in table.referenced:
        conn.execute(text(statement))
    as_role = conn.begin_nested()
    become(conn, role, identity)
    found = {"insert": inserted(conn, table)}
    as_role.rollback()
    for statement in table.rows:
        conn.execute(text(statement))
    become(conn, role, identity)
    found["read"] = labels(f"SELECT {label} FROM {name}")
    changed = (labels(f"{update} RETURNING {table.label}") for update in table.updates)
    found["update"] = [one for update in changed for one in update]
    found["delete"] = labels(f"DELETE FROM {name} RETURNING {table.label}")
    world.rollback()
    statements = ("read", "insert", "update", "delete")
    return "; ".join(
        f"{one} {','.join(sorted(set(found[one])))}" for one in statements if found[one]
    )


def unexpected(conn: Connection, name: str) -> Iterator[str]:
    """Yield each role and identity that reaches other rows of the table than it should."""
    for role, by_identity in SECURED[name].expected.items():
        for identity in get_args(Identity):
            named = identity if identity in by_identity else LIKE.get(identity, identity)
            expected = by_identity.get(named, by_identity.get("*"))
            found = outcome(conn, name, role, identity)
            if found != expected:
                yield f"{name} as {role.value}, {identity}: {found!r}, not {expected!r}"


def test_every_table_has_forced_policies_or_a_reason(superuser: Connection) -> None:
    assert unexplained(superuser) == []


@pytest.mark.parametrize("name", SECURED)
def test_roles_reach_the_documented_rows(superuser: Connection, name: str) -> None:
    assert set(SECURED[name].expected) == set(Role)
    assert list(unexpected(superuser, name)) == []


@pytest.mark.parametrize("name", SECURED)
def test_every_policy_is_noticed_when_it_is_missing_or_open(
    superuser: Connection, name: str
) -> None:
    """Each policy is dropped, then opened to everyone: the matrix above must notice."""
    policies = superuser.execute(_POLICIES, {"schemas": list(SCHEMAS)})
    own = [row for row in policies if row.table_name == name]
    assert own
    unnoticed = []
    for policy in own:
        mutations = [f"DROP POLICY {policy.name} ON {name}"]
        if policy.qual not in (None, "true"):
            mutations.append(f"ALTER POLICY {policy.name} ON {name} USING (true)")
        if policy.with_check not in (None, "true"):
            mutations.append(f"ALTER POLICY {policy.name} ON {name} WITH CHECK (true)")
        for mutation in mutations:
            changed = superuser.begin_nested()
            superuser.execute(text(mutation))
            if next(unexpected(superuser, name), None) is None:
                unnoticed.append(mutation)
            changed.rollback()
    assert unnoticed == []


@pytest.mark.parametrize("mutation", ["DISABLE ROW LEVEL SECURITY", "NO FORCE ROW LEVEL SECURITY"])
def test_table_without_row_security_is_noticed(superuser: Connection, mutation: str) -> None:
    for name in SECURED:
        changed = superuser.begin_nested()
        superuser.execute(text(f"ALTER TABLE {name} {mutation}"))
        assert unexplained(superuser) == [f"{name}: row-level security is not forced"]
        changed.rollback()


def test_new_table_without_policies_or_reason_is_noticed(superuser: Connection) -> None:
    superuser.execute(text("CREATE TABLE community.secrets (wallet bytea)"))
    assert unexplained(superuser) == ["community.secrets: has neither policies nor a reason"]


def test_unique_and_foreign_keys_reveal_no_hidden_draft(engines: Engines) -> None:
    """B learns that the id is taken, which only its creator can compute, and nothing else."""
    insert = SECURED["community.market_drafts"].inserts[""].replace(":key", "sha256('taken')")
    with engines[Role.API].begin() as conn:
        act_as(conn, A)
        conn.execute(text(insert), {"wallet": A})
    with engines[Role.API].connect() as conn:
        act_as(conn, B)
        with pytest.raises(IntegrityError) as refused:
            conn.execute(text(insert), {"wallet": B})
    # Postgres leaves the key's value out where the role may not see the row.
    assert "Key (" not in str(refused.value)
    assert A.hex() not in str(refused.value)


_SETS_IDENTITY = re.compile(r"\bset\s+(?!local\b)(session\s+)?app\.", re.IGNORECASE)
_OUTLIVES = re.compile(r"set_config\(\s*'app\.[a-z]+'[^)]*,\s*false\s*\)", re.IGNORECASE)
_NAMES_IDENTITY = re.compile(r"^app\.[a-z]+$|set_config\(\s*'app\.", re.IGNORECASE)
# The modules that say whom a transaction acts for.
_MAY_SET_IDENTITY = {
    "zmart_pipelines/store/engine.py",
    "zmart_pipelines/voting/casting_statements.py",
}
PACKAGES = ("zmart_pipelines", "api", "assets", "demo", "localnet", "benchmarks")


def outliving(written: str) -> bool:
    """Return whether an SQL text sets an identity that outlives its transaction."""
    return bool(_SETS_IDENTITY.search(written) or _OUTLIVES.search(written))


def calls_outliving(tree: ast.AST) -> bool:
    """Return whether ``func.set_config`` is called other than with a literal True at the end."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(
        ast.unparse(call.func) == "func.set_config" and ast.unparse(call.args[-1]) != "True"
        for call in calls
    )


def test_no_statement_sets_an_identity_that_outlives_its_transaction() -> None:
    setters, wrong = set(), []
    for path in (found for package in PACKAGES for found in (PROJECT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        literals = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        if calls_outliving(tree) or any(map(outliving, literals)):
            wrong.append(str(path))
        if any(map(_NAMES_IDENTITY.search, literals)):
            setters.add(str(path.relative_to(PROJECT)))
    for package in PACKAGES:
        scripts = (PROJECT / package).rglob("*.sql")
        wrong += [str(path) for path in scripts if outliving(path.read_text())]
    assert wrong == []
    assert setters == _MAY_SET_IDENTITY


def test_identities_that_outlive_their_transaction_are_recognised() -> None:
    assert outliving("SET app.wallet = 'aa'")
    assert outliving("set session app.operator = 'on'")
    assert outliving("SELECT set_config('app.wallet', 'aa', false)")
    assert calls_outliving(ast.parse("func.set_config('app.wallet', identity, False)"))
    assert not outliving("SET LOCAL app.wallet = 'aa'")
    assert not outliving("SELECT set_config('app.voters', %b::text, true)")
    assert not calls_outliving(ast.parse("func.set_config('app.wallet', identity, True)"))
