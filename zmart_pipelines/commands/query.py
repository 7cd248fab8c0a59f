"""``zmart query``: one read-only statement, for runbooks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from sqlalchemy.exc import DBAPIError, OperationalError

from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

EXIT_FOUND, EXIT_REFUSED = 1, 2
_MAX_WIDTH = 200


@click.command()
@click.argument("statement")
@click.option("--expect-none", is_flag=True, help="Exit with 1 if the statement returns rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def query(statement: str, expect_none: bool, as_json: bool) -> None:
    """Run the SQL STATEMENT as the role that may only read, and print its rows.

    Runbooks ask by it, because the embedded Postgres has passwords that only zmart knows. Ids and
    keys are shown in hex.

    \b
    Exit codes: 0 done (with --expect-none: there are no rows), 1 there are rows, 2 Postgres does
    not answer or refuses the statement.

    \b
    Example:
      zmart query "SELECT topic, message FROM ops.alerts WHERE cleared_at IS NULL"
      zmart query --expect-none "SELECT FROM chain.deliveries WHERE status = 'failed'"
    """
    from zmart_pipelines.store.engine import Role, engine

    pool = engine(Role.READ, with_running_system(Settings()), pool_size=1)
    try:
        with pool.connect() as conn:
            conn.exec_driver_sql("SET TRANSACTION READ ONLY")
            found = conn.exec_driver_sql(statement)
            names = list(found.keys()) if found.returns_rows else []
            rows = [list(map(_shown, row)) for row in found] if found.returns_rows else []
    except OperationalError:
        raise
    except DBAPIError as error:
        click.echo(f"Postgres refuses the statement: {str(error.orig).splitlines()[0]}", err=True)
        raise SystemExit(EXIT_REFUSED) from None
    finally:
        pool.dispose()
    if as_json:
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
    else:
        _print(names, rows)
    raise SystemExit(EXIT_FOUND if expect_none and rows else 0)


def _shown(value: Any) -> Any:
    """Return a value as text, numbers and nulls as they are, bytes in hex."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return str(value)


def _print(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [["" if cell is None else str(cell)[:_MAX_WIDTH] for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for line in ([*names], *cells):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())
    click.echo(f"({len(rows)} rows)")
