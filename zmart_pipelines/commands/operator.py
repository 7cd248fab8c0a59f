"""Who runs a command, and the row in the audit log for commands that need no database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click
from sqlalchemy.exc import OperationalError

from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.store.audit import Operator, os_actor
from zmart_pipelines.store.engine import MissingLogin

_REASON_HELP: Final = "Why; it is kept in the audit log."

reason_option = click.option("--reason", default="", help=_REASON_HELP)
required_reason_option = click.option("--reason", required=True, help=_REASON_HELP)


def command_line() -> Operator:
    """Return the operator who runs this command."""
    return Operator(os_actor(), "cli")


def record_act(
    action: str, subject: str | None = None, details: Mapping[str, Any] | None = None
) -> None:
    """Record an act that changed nothing in the database.

    It must be possible while Postgres is away, such as the preparation of an emergency pause; then
    it is not recorded, and says so.
    """
    try:
        with transaction() as conn:
            command_line().record(conn, action, subject, details=details)
    except (OperationalError, MissingLogin) as error:
        reason = " ".join(str(error).split())[:200]
        click.echo(f"not recorded in the audit log: {reason}", err=True)
