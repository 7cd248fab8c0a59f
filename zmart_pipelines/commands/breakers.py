"""``zmart breakers``: the circuit breakers, and how to close one."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from zmart_pipelines.commands.operator import command_line, reason_option
from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries.breakers import BreakerStatus
from zmart_pipelines.store.queries.breakers import breaker_statuses as read_breakers

EXIT_STOPPED = 1
EXIT_UNKNOWN = 2


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the breakers as JSON.")
@click.pass_context
def breakers(context: click.Context, as_json: bool) -> None:
    """Show the circuit breakers of RPC endpoints and of actions.

    Breakers without any failure so far are not listed. Each API process has its own breakers
    for the endpoints, which GET /health/breakers shows.

    \b
    Exit codes: 0 all are closed, 1 at least one is open.

    \b
    Example:
      zmart breakers
      zmart breakers reset rpc:rpc.example.com
    """
    if context.invoked_subcommand is not None:
        return
    settings = with_running_system(Settings())
    pool = engine(Role.READ, settings, pool_size=1)
    try:
        with pool.connect() as conn:
            found = read_breakers(conn)
    finally:
        pool.dispose()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        for breaker in found:
            _print(breaker)
        if not found:
            click.echo("no failures so far")
    raise SystemExit(0 if all(breaker.is_closed for breaker in found) else EXIT_STOPPED)


@breakers.command()
@click.argument("name")
@reason_option
def reset(name: str, reason: str) -> None:
    """Close the breaker NAME now, without waiting for its probe.

    \b
    Exit codes: 0 it is closed, 2 there is no breaker of this name.

    \b
    Example:
      zmart breakers reset action:finalize_market
    """
    from zmart_pipelines.operations.operator_acts import ActRefused, reset_breaker

    try:
        with transaction() as conn:
            reset_breaker(conn, command_line(), name, reason)
    except ActRefused as error:
        click.echo(f"{error}; zmart breakers lists all", err=True)
        raise SystemExit(EXIT_UNKNOWN) from error
    click.echo(f"{name} is closed")


def _print(breaker: BreakerStatus) -> None:
    line = f"{breaker.state.replace('_', '-'):10} {breaker.name}"
    if breaker.opened_at is not None:
        line += f"  since {_minute(breaker.opened_at)}"
    if breaker.wait_until is not None:
        line += f", until {_minute(breaker.wait_until)}"
    if breaker.failures:
        line += f"  {breaker.failures} failures in a row"
    click.echo(line)
    if breaker.last_error is not None and (breaker.failures or not breaker.is_closed):
        click.echo(f"           {breaker.last_error}")


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
