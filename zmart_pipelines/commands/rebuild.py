"""``zmart rebuild`` and ``zmart redecode``: repair the projection and quarantined events."""

from __future__ import annotations

import click
import msgspec
from sqlalchemy import Engine

from zmart_pipelines.commands.operator import command_line, reason_option
from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

EXIT_BAD_MARKET = 2


@click.command()
@click.option(
    "--market", "markets", multiple=True, metavar="ID", help="Only this market (64 hex digits)."
)
@reason_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def rebuild(markets: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Rebuild the projection from the ledger; readers are not blocked.

    Only rows that differ are written; for a correct projection that is none.

    \b
    Example:
      zmart rebuild
      zmart rebuild --market 6445…3b --json
    """
    from zmart_pipelines.operations import ledger_acts

    settings = with_running_system(Settings())
    wanted = [_market_id(text) for text in markets] or None

    def show(done: int, total: int) -> None:
        if not as_json:
            click.echo(f"{done} of {total} markets", err=True)

    pool = _engine(settings)
    try:
        report = ledger_acts.rebuild(
            pool, command_line(), settings.program, wanted, reason, progress=show
        )
    finally:
        pool.dispose()
    if as_json:
        facts = {
            "markets": report.markets,
            "events": report.events,
            "changed": [market_id.hex() for market_id in report.changed],
            "hashes": {market_id.hex(): text for market_id, text in report.hashes.items()},
        }
        click.echo(msgspec.json.encode(facts).decode())
        return
    click.echo(f"{report.markets} markets folded from {report.events} events")
    click.echo(f"{len(report.changed)} differed from the ledger")
    for market_id in report.changed:
        click.echo(f"  {market_id.hex()}")


@click.command()
@reason_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def redecode(reason: str, as_json: bool) -> None:
    """Decode every quarantined event again, for example with a newer decoder.

    \b
    Example:
      zmart redecode
    """
    from zmart_pipelines.operations import ledger_acts

    settings = with_running_system(Settings())
    pool = _engine(settings)
    try:
        report = ledger_acts.redecode(pool, command_line(), settings.program, reason)
    finally:
        pool.dispose()
    markets = sorted(market_id.hex() for market_id in report.markets)
    if as_json:
        facts = {
            "quarantined": report.quarantined,
            "decoded": report.decoded,
            "markets": markets,
        }
        click.echo(msgspec.json.encode(facts).decode())
        return
    click.echo(f"{report.decoded} of {report.quarantined} quarantined events are decoded now")
    for market in markets:
        click.echo(f"  {market}")


def _engine(settings: Settings) -> Engine:
    from zmart_pipelines.store.engine import Role, engine

    return engine(
        Role.INGEST,
        settings,
        pool_size=1,
        statement_timeout=600,
    )


def _market_id(text: str) -> bytes:
    try:
        market_id = bytes.fromhex(text)
    except ValueError:
        market_id = b""
    if len(market_id) != 32:
        click.echo(f"--market: {text!r} is not 64 hexadecimal digits", err=True)
        raise SystemExit(EXIT_BAD_MARKET)
    return market_id
