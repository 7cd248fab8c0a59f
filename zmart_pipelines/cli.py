"""The ``zmart`` command.

It starts the API, the pipelines, the local chain and the demo as processes only and imports
none of them.
"""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy.exc import OperationalError

from zmart_pipelines.commands.admin import admin, switch
from zmart_pipelines.commands.alerts import alerts
from zmart_pipelines.commands.audit import audit
from zmart_pipelines.commands.backfill import backfill
from zmart_pipelines.commands.backup import backup
from zmart_pipelines.commands.breakers import breakers
from zmart_pipelines.commands.check import check, migrate, record
from zmart_pipelines.commands.deliveries import deliveries
from zmart_pipelines.commands.doctor import doctor
from zmart_pipelines.commands.keys import keys
from zmart_pipelines.commands.logs import logs
from zmart_pipelines.commands.market import market
from zmart_pipelines.commands.query import query
from zmart_pipelines.commands.rebuild import rebuild, redecode
from zmart_pipelines.commands.reset import reset
from zmart_pipelines.commands.restore import restore
from zmart_pipelines.commands.settings import show_settings
from zmart_pipelines.commands.status import status
from zmart_pipelines.commands.submissions import submissions
from zmart_pipelines.commands.tx import tx
from zmart_pipelines.commands.up import localnet, up
from zmart_pipelines.commands.verify_tally import verify_tally
from zmart_pipelines.commands.watchdog import watchdog
from zmart_pipelines.commands.webhook import webhook
from zmart_pipelines.store.engine import MissingLogin

EXIT_UNREACHABLE = 2


class Commands(click.Group):
    """The group of commands; each ends with one line when it cannot log in to the database."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OperationalError as error:
            reason = " ".join(str(error.orig or error).split())
            click.echo(f"Postgres does not answer: {reason}", err=True)
            raise SystemExit(EXIT_UNREACHABLE) from error
        except MissingLogin as error:
            click.echo(str(error), err=True)
            raise SystemExit(EXIT_UNREACHABLE) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zmart-pipelines")
def main() -> None:
    """ZMART Pipelines: the data plane behind a prediction market on Solana.

    Settings come from the environment and from .env; the state folder is ZMART_STATE (.zmart).
    """


for command in (
    up,
    status,
    logs,
    doctor,
    show_settings,
    migrate,
    reset,
    check,
    record,
    backfill,
    rebuild,
    redecode,
    verify_tally,
    admin,
    switch,
    submissions,
    deliveries,
    market,
    tx,
    backup,
    alerts,
    restore,
    breakers,
    query,
    audit,
    watchdog,
    webhook,
    keys,
    localnet,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
