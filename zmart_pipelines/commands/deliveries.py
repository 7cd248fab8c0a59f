"""``zmart deliveries``: webhook deliveries that could not be ingested, and their retry."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import click
import msgspec

from zmart_pipelines import base58
from zmart_pipelines.commands.operator import command_line, reason_option
from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

if TYPE_CHECKING:
    from solders.pubkey import Pubkey

    from zmart_pipelines.store.queries.failed_deliveries import DeliveryRecord, StoredTransaction

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
      zmart deliveries show 12
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
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def show(delivery: int, as_json: bool) -> None:
    """Show DELIVERY: when it came, what became of it, and what the ledger has of its transactions.

    \b
    Exit codes: 0 it is ingested, 1 it is not, or there is no such delivery (any more),
    2 Postgres does not answer.

    \b
    Example:
      zmart deliveries show 12
    """
    from zmart_pipelines.store.queries import failed_deliveries

    settings = with_running_system(Settings())
    with transaction() as conn:
        found = failed_deliveries.delivery_record(conn, delivery)
        if found is None:
            click.echo(f"there is no delivery {delivery}; it may be past its retention", err=True)
            raise SystemExit(EXIT_FAILED)
        signatures = _signatures(found.body, settings.program)
        stored = failed_deliveries.stored_transactions(conn, signatures)
    known = {one.signature: one for one in stored}
    facts = {
        **msgspec.structs.asdict(found),
        "body": {"bytes": len(found.body), "sha256": sha256(found.body).hexdigest()},
        "transactions": [_transaction(one, known.get(one)) for one in signatures],
    }
    if as_json:
        click.echo(msgspec.json.encode(facts).decode())
    else:
        _print(found, facts["transactions"])
    raise SystemExit(0 if found.status == "ingested" else EXIT_FAILED)


def _signatures(body: bytes, program: Pubkey) -> list[bytes]:
    """Return the signatures that a body names; none where it cannot be read."""
    from zmart_pipelines.chain.delivery_entries import parse_delivery
    from zmart_pipelines.chain.transactions import PayloadError

    try:
        content = parse_delivery(body, program)
    except PayloadError:
        return []
    hinted = [hint.signature for hint in content.hints]
    return [transaction.signature for transaction in content.transactions] + hinted


def _transaction(signature: bytes, stored: StoredTransaction | None) -> dict[str, Any]:
    """Return what the ledger has of a transaction; nulls where it has nothing."""
    return {
        "signature": base58.encode(signature),
        "slot": None if stored is None else stored.slot,
        "commitment": None if stored is None else stored.commitment,
        "events": None if stored is None else stored.events,
    }


def _print(found: DeliveryRecord, transactions: list[dict[str, Any]]) -> None:
    error = f": {found.error}" if found.error else ""
    click.echo(
        f"delivery    {found.id} from {found.source}, {found.status},"
        f" {found.attempts} attempts{error}"
    )
    ingested = "not yet"
    if found.ingested_at is not None:
        ingested = f"{found.ingested_at:%Y-%m-%d %H:%M:%S}Z"
    click.echo(
        f"            received {found.received_at:%Y-%m-%d %H:%M:%S}Z, ingested {ingested};"
        f" {len(found.body)} bytes, {found.transaction_count} transactions"
    )
    for entry in found.unreadable:
        click.echo(f"unreadable  entry {entry.position}: {entry.reason}")
    if found.unreadable_count > len(found.unreadable):
        click.echo(f"            and {found.unreadable_count - len(found.unreadable)} more")
    for one in transactions:
        state = "not in the ledger"
        if one["slot"] is not None:
            state = f"slot {one['slot']}, {one['commitment']}, {one['events']} events"
        click.echo(f"transaction {one['signature']}: {state}")


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
