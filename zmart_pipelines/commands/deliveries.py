"""``zmart deliveries``: webhook deliveries that could not be ingested, and their retry."""

from __future__ import annotations

import click
import msgspec

from zmart_pipelines.commands.operator import command_line, reason_option
from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

EXIT_FAILED = 1


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the deliveries as JSON.")
@click.pass_context
def deliveries(context: click.Context, as_json: bool) -> None:
    """Show the webhook deliveries whose ingestion failed, with the reason; the newest 100.

    Nothing is lost by a failed delivery: the poll and the finalized window read its transactions
    from the chain.

    \b
    Exit codes: 0 there are none, 1 there are some, 2 Postgres does not answer.

    \b
    Example:
      zmart deliveries
      zmart deliveries retry 12
    """
    from zmart_pipelines.store.queries.failed_deliveries import failed_deliveries

    if context.invoked_subcommand is not None:
        return
    with transaction() as conn:
        found = failed_deliveries(conn)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        for one in found:
            click.echo(
                f"{one.id:>6}  {one.received_at:%Y-%m-%d %H:%M:%S}Z  {one.source:16}"
                f"{one.transaction_count} transactions, {one.attempts} attempts: {one.error}"
            )
        if not found:
            click.echo("no delivery failed")
    raise SystemExit(EXIT_FAILED if found else 0)


@deliveries.command()
@click.argument("delivery", type=click.IntRange(1, 2**63 - 1))
@reason_option
def retry(delivery: int, reason: str) -> None:
    """Ingest DELIVERY again, now. One that was ingested before changes nothing.

    \b
    Exit codes: 0 ingested, 1 it failed again or does not exist, 2 Postgres does not answer.

    \b
    Example:
      zmart deliveries retry 12
    """
    from zmart_pipelines.operations.ledger_acts import redeliver
    from zmart_pipelines.operations.operator_acts import ActRefused
    from zmart_pipelines.store.engine import Role, engine
    from zmart_pipelines.store.queries.failed_deliveries import delivery_error

    settings = with_running_system(Settings())
    pool = engine(Role.INGEST, settings, pool_size=1)
    try:
        done = redeliver(pool, command_line(), delivery, reason, program=settings.program)
        with pool.connect() as conn:
            error = None if done.complete else delivery_error(conn, delivery)
    except ActRefused as refused:
        click.echo(str(refused), err=True)
        raise SystemExit(EXIT_FAILED) from None
    finally:
        pool.dispose()
    if not done.complete:
        click.echo(f"delivery {delivery} failed again: {error}", err=True)
        raise SystemExit(EXIT_FAILED)
    click.echo(
        f"delivery {delivery} is ingested: {done.result.new_transactions} new transactions,"
        f" {done.result.new_events} new events"
    )
