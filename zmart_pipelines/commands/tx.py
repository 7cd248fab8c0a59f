"""``zmart tx``: what is known of one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from zmart_pipelines import base58
from zmart_pipelines.commands.transactions import transaction

if TYPE_CHECKING:
    from zmart_pipelines.store.queries.relayed_transactions import RelayedTransaction
    from zmart_pipelines.store.queries.transaction_record import Reading, TransactionRecord

EXIT_UNKNOWN, EXIT_INVALID = 1, 2
_SIGNATURE_BYTES = 64


@click.command()
@click.argument("signature")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def tx(signature: str, as_json: bool) -> None:
    """Show what the ledger knows of the transaction SIGNATURE (base58, or hex as zmart query has it).

    Its commitment, slot, fee and events, and when it was delivered, confirmed and finalized; which
    sources reported it and when; gaps, quarantined events
    and hints that name it; the submission that sent it, if it is one of ours; and how far it has
    come, if a wallet handed it to the API.

    \b
    Exit codes: 0 shown, 1 nothing is known of it, 2 it is no signature or Postgres does not answer.

    \b
    Example:
      zmart tx 5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW
    """  # noqa: E501
    from zmart_pipelines.store.queries.transaction_record import transaction_record

    name = _key(signature)
    with transaction() as conn:
        found = transaction_record(conn, name)
    if as_json:
        click.echo(msgspec.json.encode(_readable(found, base58.encode(name))).decode())
    elif not found:
        click.echo("nothing is known of this transaction", err=True)
    else:
        _print(found)
    raise SystemExit(0 if found else EXIT_UNKNOWN)


def _key(text: str) -> bytes:
    """Return the 64 bytes of a signature in base58 or hex; exit where it is neither."""
    for decode in (base58.decode, bytes.fromhex):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == _SIGNATURE_BYTES:
            return key
    click.echo(f"{text[:100]!r} is not a transaction's signature in base58 or hex", err=True)
    raise SystemExit(EXIT_INVALID)


def _moment(moment: datetime | None) -> str:
    return "not yet" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z"


def source_names(bits: int) -> list[str]:
    """Return the names of the sources that reported a transaction."""
    from zmart_pipelines.ledger.model.provenance import Source

    return [str(source.name).lower().replace("_", " ") for source in Source if source & bits]


def _readable(found: TransactionRecord, signature: str) -> dict[str, Any]:
    """Return the record for JSON: bytes as hex, the signature as given, sources by name."""
    facts: dict[str, Any] = _hex(msgspec.to_builtins(found, builtin_types=(bytes,)))
    facts["signature"] = signature
    for shown, reading in zip(facts["readings"], found.readings, strict=True):
        shown["sources"] = source_names(reading.sources)
    return facts


def _hex(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hex(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hex(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _print(found: TransactionRecord) -> None:
    for reading in found.readings:
        _print_reading(reading, found)
    for gap in found.gaps:
        state = "open" if gap.closed_at is None else f"closed {gap.closed_at:%Y-%m-%d %H:%M:%S}Z"
        click.echo(f"gap         {gap.kind}, {state}, {gap.attempts} attempts: {gap.reason}")
    for hint in found.hints:
        reason = f": {hint.reason}" if hint.reason else ""
        click.echo(f"hint        {hint.status}, named by delivery {hint.delivery_id}{reason}")
    for sent in found.submissions:
        click.echo(
            f"submission  intent {sent.intent_id} ({sent.action}, {sent.intent_status}) of market"
            f" {sent.market_id.hex()}"
        )
        error = f", {sent.error}" if sent.error else ""
        landed = "" if sent.landed_slot is None else f", landed in slot {sent.landed_slot}"
        click.echo(
            f"            attempt {sent.attempt_id} {sent.status}{error}, signed"
            f" {sent.signed_at:%Y-%m-%d %H:%M:%S}Z by run {sent.run_id or 'none'}{landed}"
        )
        click.echo(f"            sent {_moment(sent.sent_at)}, settled {_moment(sent.settled_at)}")

    if found.relayed is not None:
        _print_relayed(found.relayed)


def _print_relayed(relayed: RelayedTransaction) -> None:
    why = relayed.refusal if relayed.error is None else relayed.error
    click.echo(
        f"relayed     {relayed.state}{f': {why}' if why else ''}, received"
        f" {relayed.received_at:%Y-%m-%d %H:%M:%S}Z, {relayed.sends} sends, valid to height"
        f" {relayed.last_valid_block_height}"
    )
    click.echo(
        f"            sent {_moment(relayed.sent_at)}, confirmed {_moment(relayed.confirmed_at)},"
        f" ended {_moment(relayed.settled_at)}"
    )


def _print_reading(reading: Reading, found: TransactionRecord) -> None:
    outcome = f"failed: {reading.error}" if reading.failed else "succeeded"
    index = "unknown" if reading.index_in_block is None else reading.index_in_block
    click.echo(f"{reading.commitment:11} slot {reading.slot}, index {index}, {outcome}")
    delivery = "" if reading.delivery_id is None else f", first in delivery {reading.delivery_id}"
    click.echo(
        f"            reported by {', '.join(source_names(reading.sources))}{delivery};"
        f" seen {reading.first_seen_at:%Y-%m-%d %H:%M:%S}Z"
    )
    fee = "unknown" if reading.fee is None else f"{reading.fee} lamports"
    click.echo(
        f"            delivered {_moment(reading.delivered_at)}, confirmed"
        f" {_moment(reading.confirmed_at)}, finalized {_moment(reading.finalized_at)}; fee {fee}"
    )
    if reading.superseded_reason is not None:
        click.echo(f"            superseded: {reading.superseded_reason}")
    for event in found.events:
        if event.digest != reading.digest:
            continue
        if event.quarantine_reason is not None:
            click.echo(f"quarantined line {event.log_index}: {event.quarantine_reason}")
            continue
        market = "" if event.market_id is None else f" of market {event.market_id.hex()}"
        click.echo(f"event       line {event.log_index}: {event.name}{market}")
