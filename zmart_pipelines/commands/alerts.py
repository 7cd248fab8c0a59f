"""``zmart alerts``: what is wrong now, and what operators do about it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click
import msgspec
from sqlalchemy import Connection, func, select

from zmart_pipelines.client_schemas.alerts import operator_alert
from zmart_pipelines.commands.operator import command_line, reason_option, required_reason_option
from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries import alert_silences
from zmart_pipelines.store.queries.alerts import FullAlert, open_alerts

EXIT_OPEN: Final = 1
EXIT_REFUSED: Final = 2
MOST_LISTED: Final = 1_000
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


class _Duration(click.ParamType[timedelta]):
    """A time such as ``90m``, ``4h`` or ``2d``."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the time; fail with what is expected."""
        found = re.fullmatch(r"(\d{1,5})([mhd])", str(value))
        if found is None:
            self.fail("must be a number with m, h or d, such as 90m, 4h or 2d", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.group()
def alerts() -> None:
    """Show alerts, take them over, and stop messages about them for a while.

    \b
    Example:
      zmart alerts list
    """


@alerts.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the alerts as JSON.")
def list_alerts(as_json: bool) -> None:
    """Show the open alerts with severity, age and runbook, and the silences that last.

    \b
    Exit codes: 0 nothing is open, 1 at least one alert is.

    \b
    Example:
      zmart alerts list
    """
    pool = engine(Role.READ, with_running_system(Settings()), pool_size=1)
    try:
        with pool.connect() as conn:
            found = open_alerts(conn, MOST_LISTED)
            if as_json:
                shown = [operator_alert(row) for row in found]
                click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
            else:
                _print(conn, found)
    finally:
        pool.dispose()
    raise SystemExit(EXIT_OPEN if found else 0)


@alerts.command()
@click.argument("alert", type=click.IntRange(min=1))
@reason_option
def ack(alert: int, reason: str) -> None:
    """Acknowledge the open alert ALERT, a number that `zmart alerts list` shows.

    Its severity no longer rises, and no message repeats it.

    \b
    Exit codes: 0 it is acknowledged, 2 there is no such open alert.

    \b
    Example:
      zmart alerts ack 17 --reason "the node is being replaced"
    """
    from zmart_pipelines.operations.operator_acts import ActRefused, acknowledge_alert

    try:
        with transaction() as conn:
            found = acknowledge_alert(conn, command_line(), alert, reason)
    except ActRefused as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_REFUSED) from error
    click.echo(f"alert {alert} is acknowledged by {found.acknowledged_by}")


@alerts.command()
@click.argument("topic")
@click.option("--for", "lasts", type=_Duration(), required=True, help="How long: 90m, 4h, 2d.")
@required_reason_option
@click.option("--market", default=None, help="Only alerts of this market: its id, 64 hex digits.")
@click.option("--subject", default=None, help="Only alerts with this subject.")
def silence(
    topic: str, lasts: timedelta, reason: str, market: str | None, subject: str | None
) -> None:
    """Send no message about alerts of TOPIC for some time; they are still raised and shown.

    \b
    Exit codes: 0 they are silenced, 2 the values are not possible.

    \b
    Example:
      zmart alerts silence resolution_due --for 4h --reason "the source is late"
    """
    from zmart_pipelines.operations.operator_acts import ActRefused, silence_alerts

    if market is not None and not re.fullmatch("[0-9a-f]{64}", market):
        raise click.BadParameter("must be 64 hex digits", param_hint="--market")
    try:
        with transaction() as conn:
            made = silence_alerts(
                conn,
                command_line(),
                topic=topic,
                market_id=None if market is None else bytes.fromhex(market),
                subject=subject,
                lasts=lasts,
                reason=reason,
            )
    except ActRefused as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_REFUSED) from error
    click.echo(f"silence {made.id} of {topic} lasts until {_minute(made.ends_at)}")


@alerts.command()
@click.argument("silence", type=click.IntRange(min=1))
@required_reason_option
def unsilence(silence: int, reason: str) -> None:
    """End the silence SILENCE now; what is still open is sent then.

    \b
    Exit codes: 0 it has ended, 2 there is no such silence that lasts, or the reason is blank.

    \b
    Example:
      zmart alerts unsilence 3 --reason "the source is back"
    """
    from zmart_pipelines.operations.operator_acts import ActRefused, end_silence

    try:
        with transaction() as conn:
            ended = end_silence(conn, command_line(), silence, reason)
    except ActRefused as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_REFUSED) from error
    click.echo(f"silence {silence} of {ended.topic} has ended")


def _print(conn: Connection, found: list[FullAlert]) -> None:
    now = conn.execute(select(func.now())).scalar_one()
    for alert in found:
        market = None if alert.market_id is None else alert.market_id.hex()
        key = ":".join(part for part in (alert.topic, market, alert.subject) if part is not None)
        when = f"{_minute(alert.raised_at)} ({_age(now - alert.raised_at)})"
        click.echo(f"{alert.id:>6}  {alert.severity:8}  {when}  {key}")
        click.echo(f"        {alert.message}")
        if alert.acknowledged_at is not None:
            taken = _minute(alert.acknowledged_at)
            click.echo(f"        acknowledged by {alert.acknowledged_by}, {taken}")
        if alert.topic in CAUSES:
            click.echo(f"        runbook: {CAUSES[alert.topic].runbook}")
    if not found:
        click.echo("no alert is open")
    for silence in alert_silences.current_silences(conn):
        click.echo(
            f"silence {silence.id}: {silence.topic} until {_minute(silence.ends_at)},"
            f" by {silence.created_by}: {silence.reason}"
        )


def _age(age: timedelta) -> str:
    """Return the two largest units of an age, such as 3d 4h."""
    minutes = max(0, int(age.total_seconds())) // 60
    parts = {"d": minutes // 1_440, "h": minutes // 60 % 24, "m": minutes % 60}
    shown = [f"{number}{unit}" for unit, number in parts.items() if number]
    return " ".join(shown[:2]) or "0m"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
