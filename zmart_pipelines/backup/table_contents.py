"""The content of every table that a backup holds, as row counts and hashes."""

from __future__ import annotations

import hashlib
from typing import Final

import psycopg
from psycopg import sql

from zmart_pipelines.backup.errors import BackupError
from zmart_pipelines.backup.manifest import TableContent
from zmart_pipelines.store.engine import Role

# Dagster's tables are its own: a restored system starts with an empty history of runs.
NOT_BACKED_UP: Final = ("dagster",)
# Text of values must not depend on the server's configuration.
SESSION_OPTIONS: Final = (
    "-c timezone=UTC -c datestyle=ISO,YMD -c intervalstyle=iso_8601 -c bytea_output=hex"
    " -c extra_float_digits=1 -c row_security=on -c statement_timeout=0"
    " -c idle_in_transaction_session_timeout=0"
)

_TABLES: Final = """
SELECT n.nspname, c.relname,
    ARRAY(
        SELECT a.attname::text FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
    ),
    ARRAY(
        SELECT a.attname::text
        FROM pg_index AS i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place
    ),
    ARRAY(
        SELECT a.attname::text FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attcollation <> 0
    )
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT n.nspname = ANY(%s)
ORDER BY 1, 2
"""

# A policy that shows every row is ``true``; without one, row-level security hides rows silently.
_HIDDEN: Final = """
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relrowsecurity AND NOT n.nspname = ANY(%s) AND NOT EXISTS (
    SELECT FROM pg_policy AS p
    WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*')
        AND (SELECT oid FROM pg_roles WHERE rolname = %s) = ANY(p.polroles)
        AND pg_get_expr(p.polqual, p.polrelid) = 'true'
)
ORDER BY 1
"""


def require_all_rows_visible(conn: psycopg.Connection) -> None:
    """Check that row-level security hides no row of any table from backups.

    Raises:
        BackupError: A table has no policy that shows all of its rows to backups.
    """
    hidden = [name for (name,) in conn.execute(_HIDDEN, (list(NOT_BACKED_UP), Role.BACKUP.value))]
    if hidden:
        raise BackupError(
            f"row-level security hides rows of {', '.join(hidden)} from {Role.BACKUP.value}: add a"
            " policy FOR SELECT TO zmart_backup USING (true)"
        )


def read_contents(conn: psycopg.Connection) -> dict[str, TableContent]:
    """Return the content of every table, by qualified name, in the connection's snapshot."""
    tables = conn.execute(_TABLES, (list(NOT_BACKED_UP),)).fetchall()
    return {
        f"{schema}.{table}": _content(conn, schema, table, columns, key or columns, texts)
        for schema, table, columns, key, texts in tables
    }


def _content(
    conn: psycopg.Connection,
    schema: str,
    table: str,
    columns: list[str],
    order: list[str],
    texts: list[str],
) -> TableContent:
    by = [
        sql.SQL('{} COLLATE "C"').format(sql.Identifier(name))
        if name in texts
        else sql.Identifier(name)
        for name in order
    ]
    statement = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        sql.SQL(", ").join(sql.Identifier(name) for name in columns),
        sql.Identifier(schema, table),
        sql.SQL(", ").join(by),
    )
    digest, rows = hashlib.sha256(), 0
    with conn.cursor().copy(statement) as copy:
        for data in copy:
            digest.update(data)
            rows += bytes(data).count(b"\n")  # in text format a line break in a value is escaped
    return TableContent(tuple(columns), rows, digest.hexdigest())
