"""``zmart backfill``: read a range of slots completely."""

from __future__ import annotations

import click
import msgspec

from zmart_pipelines.commands.operator import command_line, reason_option
from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

EXIT_NOT_COVERED, EXIT_UNREADABLE = 1, 2


@click.command()
@click.option("--from-slot", type=click.IntRange(0, 2**62), default=0, show_default=True)
@click.option(
    "--to-slot", type=click.IntRange(0, 2**62), help="Inclusive; the finalized slot if left out."
)
@reason_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def backfill(from_slot: int, to_slot: int | None, reason: str, as_json: bool) -> None:
    """Read every transaction of a slot range that is not covered yet.

    Covered slots are skipped, so an interrupted backfill can simply be run again.
    BACKFILL_CALLS_PER_SECOND limits the RPC calls.

    \b
    Exit codes: 0 the range is covered and complete, 1 it is not, 2 the range is invalid or the
    chain cannot be read.

    \b
    Example:
      zmart backfill --from-slot 250000000 --to-slot 250216000
    """
    from zmart_pipelines.chain.jsonrpc import RpcError, RpcUnavailable
    from zmart_pipelines.ledger.readers.backfill import BackfillProgress, backfill_client
    from zmart_pipelines.operations.ledger_acts import read_range
    from zmart_pipelines.store.engine import Role, engine

    settings = with_running_system(Settings())

    def show(state: BackfillProgress) -> None:
        if not as_json:
            slot = "none yet" if state.slot is None else state.slot
            click.echo(
                f"covered to slot {slot} of {state.last_slot}; {state.read} of {state.listed} "
                "transactions listed so far",
                err=True,
            )

    pool = engine(
        Role.INGEST,
        settings,
        pool_size=1,
        statement_timeout=600,
    )
    try:
        with backfill_client(settings) as rpc:
            last = rpc.slot("finalized") if to_slot is None else to_slot
            report = read_range(
                pool, command_line(), rpc, settings, (from_slot, last), reason, progress=show
            )
    except (RpcError, RpcUnavailable, ValueError) as error:
        click.echo(f"{error}", err=True)
        raise SystemExit(EXIT_UNREADABLE) from error
    finally:
        pool.dispose()
    if as_json:
        facts = msgspec.to_builtins(report) | {
            "complete": report.complete,
            "missing": report.missing,
            "result": {
                "new_transactions": report.result.new_transactions,
                "new_events": report.result.new_events,
                "quarantined": report.result.quarantined,
                "orphaned": report.result.orphaned,
                "markets": sorted(market_id.hex() for market_id in report.result.markets),
            },
        }
        click.echo(msgspec.json.encode(facts).decode())
    else:
        click.echo(
            f"slots {report.first_slot} to {report.last_slot}: {report.covered_before} were "
            f"covered, {report.covered_now} are now; {report.fetched} of {report.listed} "
            f"transactions read, {report.result.new_events} new events, {report.calls} RPC calls"
        )
        for first, end in report.uncovered:
            click.echo(f"not covered: {first} to {end}")
        if not report.complete:
            click.echo(f"not complete: {report.missing}")
    raise SystemExit(0 if report.complete else EXIT_NOT_COVERED)
