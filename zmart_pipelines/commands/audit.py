"""``zmart audit``: what operators did."""

from __future__ import annotations

import click
import msgspec

from zmart_pipelines import base58
from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.store.queries.audit import AuditFilter, AuditRow, find_rows


@click.command()
@click.option("--action", help="Only acts of this name, such as switch.")
@click.option("--subject", help="Only acts on this subject: a market's id, a name, a number.")
@click.option(
    "--entry-point",
    type=click.Choice(["api", "cli", "dagster"]),
    help="Only acts through this entry point.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def audit(
    action: str | None,
    subject: str | None,
    entry_point: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what operators did through the API, the command line and Dagster; newest first.

    \b
    Exit codes: 0 shown, 2 Postgres does not answer.

    \b
    Example:
      zmart audit
      zmart audit --action switch --json
    """
    wanted = AuditFilter(action=action, subject=subject, entry_point=entry_point)
    with transaction() as conn:
        rows = find_rows(conn, wanted, limit=limit)
    if as_json:
        facts = [
            msgspec.structs.asdict(row) | {"wallet": row.wallet and base58.encode(row.wallet)}
            for row in rows
        ]
        click.echo(msgspec.json.encode(facts).decode())
        return
    for row in rows:
        click.echo(
            f"{row.recorded_at:%Y-%m-%d %H:%M:%S}Z  {row.entry_point:8}{_actor(row):24}"
            f"{row.action:26}{row.subject or ''}{f': {row.reason}' if row.reason else ''}"
        )
    if not rows:
        click.echo("nothing was recorded")


def _actor(row: AuditRow) -> str:
    if row.wallet is not None:
        return base58.encode(row.wallet)
    return row.service or row.os_user or row.dagster_user or ""
