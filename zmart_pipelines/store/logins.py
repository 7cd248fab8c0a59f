"""The logins of the roles: created by the owner, each with a password of its own.

Passwords reach the server as SCRAM verifiers, so that no log of it can contain one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from zmart_pipelines.store.engine import LOGINS, Role, libpq_url
from zmart_pipelines.store.locks import MIGRATION

_ATTRIBUTES: Final = sql.SQL("LOGIN NOINHERIT")
_TIMEOUT: Final = 5  # seconds


class LoginsMissing(Exception):
    """Some roles cannot log in; the message says what to do about each."""


def url_for(role: Role, owner_url: str, password: str) -> str:
    """Return the URL of a role's login to the database of ``owner_url``."""
    url = make_url(owner_url).set(username=role.value, password=password)
    return url.render_as_string(hide_password=False)


def ensure_logins(owner_url: str, urls: Mapping[Role, str], *, reset: bool = False) -> None:
    """Make every role able to log in with its URL. Idempotent.

    A role that does not exist yet or has no login is created or altered. One that has a login
    with another password belongs to another installation on this server, and stays as it is.

    Args:
        owner_url: The login that owns the database; it needs CREATEROLE to create logins.
        urls: The URL of each role's login.
        reset: Set the password of existing logins, too.

    Raises:
        LoginsMissing: A role still cannot log in.
    """
    problems: list[str] = []
    with psycopg.connect(libpq_url(owner_url), autocommit=True, connect_timeout=_TIMEOUT) as owner:
        owner.execute("SELECT pg_advisory_lock(%s)", (MIGRATION,))
        for role in LOGINS:
            problem = _ensure(owner, role, urls[role], reset=reset)
            if problem is not None:
                problems.append(f"{role.value}: {problem}")
    if problems:
        raise LoginsMissing("\n".join(problems))


def login_problem(role: Role, url: str) -> str | None:
    """Return why the URL does not log in as the role, or with more rights than it has."""
    try:
        with psycopg.connect(libpq_url(url), connect_timeout=_TIMEOUT) as conn:
            row = conn.execute(_RIGHTS, ([other.value for other in Role], role.value)).fetchone()
    except psycopg.Error as error:
        return " ".join(str(error).split())
    if row is None:
        return f"the server has no role {role.value}"
    is_role, superuser, others = row
    if superuser:
        return "the login is a superuser, whom no privilege and no policy restrains"
    if not is_role:
        return f"the login has not the rights of {role.value}"
    if others:
        return f"the login may also act as {', '.join(others)}"
    return None


_RIGHTS: Final = """
SELECT pg_has_role(current_user, r.oid, 'USAGE'), u.rolsuper OR u.rolbypassrls,
    ARRAY(
        SELECT o.rolname::text FROM pg_roles AS o
        WHERE o.rolname = ANY(%s) AND o.oid <> r.oid AND pg_has_role(current_user, o.oid, 'MEMBER')
        ORDER BY 1
    )
FROM pg_roles AS u, (SELECT * FROM pg_roles WHERE rolname = %s) AS r
WHERE u.rolname = current_user
"""


def _ensure(owner: psycopg.Connection, role: Role, url: str, *, reset: bool) -> str | None:
    parsed = make_url(url)
    if parsed.username == role.value:
        found = owner.execute(
            "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", (role.value,)
        ).fetchone()
        missing = found is None or not found[0]
        if missing or (reset and login_problem(role, url) is not None):
            refusal = _set_password(owner, role, str(parsed.password), create=found is None)
            if refusal is not None:
                return f"{refusal}; {_remedy(role)}"
    problem = login_problem(role, url)
    return None if problem is None else f"{problem}; {_remedy(role)}"


def _set_password(
    owner: psycopg.Connection, role: Role, password: str, *, create: bool
) -> str | None:
    statement = sql.SQL("{} ROLE {} {} PASSWORD {}").format(
        sql.SQL("CREATE" if create else "ALTER"),
        sql.Identifier(role.value),
        _ATTRIBUTES,
        scram_verifier(owner, role.value, password),
    )
    try:
        owner.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        return str(error.diag.message_primary)
    return None


def scram_verifier(conn: psycopg.Connection, user: str, password: str) -> sql.Literal:
    """Return what a statement names as a user's password, from which it cannot be read."""
    verifier = conn.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
    return sql.Literal(verifier.decode())


def _remedy(role: Role) -> str:
    return (
        f"set {role.setting.upper()} to a login that is {role.value} or a member of it"
        " (zmart migrate --reset-logins gives it a new password)"
    )
