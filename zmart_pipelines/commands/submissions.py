"""``zmart submissions``: submissions that need an operator, and their retry or closing."""

from __future__ import annotations

from collections.abc import Callable

import click
import msgspec
from sqlalchemy import Connection

from zmart_pipelines.commands.operator import command_line, reason_option
from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.operations import operator_acts
from zmart_pipelines.submissions import operator_actions
from zmart_pipelines.submissions.intents import Intent

EXIT_WAITING = 1
EXIT_REFUSED = 1


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the submissions as JSON.")
@click.pass_context
def submissions(context: click.Context, as_json: bool) -> None:
    """Show the submissions that failed, were quarantined or superseded and need an operator.

    \b
    Exit codes: 0 there are none, 1 there are some, 2 Postgres does not answer.

    \b
    Example:
      zmart submissions
      zmart submissions retry 12
      zmart submissions close 12 --reason "the admin cancelled the market"
    """
    if context.invoked_subcommand is not None:
        return
    with transaction() as conn:
        found = operator_actions.failed_intents(conn)
    if as_json:
        rows = [
            {
                "id": one.id,
                "market_id": one.market_id.hex(),
                "action": one.action,
                "round": one.round,
                "status": one.status,
                "reason": one.reason,
            }
            for one in found
        ]
        click.echo(msgspec.json.encode(rows).decode())
    else:
        for one in found:
            _print(one)
        if not found:
            click.echo("no submission needs an operator")
    raise SystemExit(EXIT_WAITING if found else 0)


@submissions.command()
@click.argument("intent", type=int)
@reason_option
def retry(intent: int, reason: str) -> None:
    """Retry a failed or quarantined INTENT, once its cause is fixed.

    If its effect is on chain by then, nothing is sent.

    \b
    Exit codes: 0 planned again, 1 refused, 2 Postgres does not answer.

    \b
    Example:
      zmart submissions retry 12
    """
    _appeal(lambda conn: operator_acts.retry_submission(conn, command_line(), intent, reason))


@submissions.command()
@click.argument("intent", type=int)
@click.option("--reason", required=True, help="Why no further action is needed.")
def close(intent: int, reason: str) -> None:
    """Close an INTENT that failed or was superseded, and clear its alert.

    \b
    Exit codes: 0 closed, 1 refused, 2 Postgres does not answer.

    \b
    Example:
      zmart submissions close 12 --reason "the admin cancelled the market"
    """
    _appeal(lambda conn: operator_acts.close_submission(conn, command_line(), intent, reason))


def _appeal(do: Callable[[Connection], Intent]) -> None:
    try:
        with transaction() as conn:
            _print(do(conn))
    except operator_acts.ActRefused as refused:
        click.echo(str(refused), err=True)
        raise SystemExit(EXIT_REFUSED) from refused


def _print(intent: Intent) -> None:
    click.echo(
        f"{intent.id:>6}  {intent.status:12}{intent.action:26}round {intent.round}  "
        f"market {intent.market_id.hex()}  {intent.reason}"
    )
