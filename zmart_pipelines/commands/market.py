"""``zmart market``: what a market waits for, who must act, and what is in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from zmart_pipelines import base58
from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

if TYPE_CHECKING:
    from zmart_pipelines.client_schemas.market_status import MarketStatus

EXIT_UNKNOWN, EXIT_INVALID = 1, 2
_KEY_BYTES = 32


@click.command()
@click.argument("market")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def market(market: str, as_json: bool) -> None:
    """Show what the market MARKET (its id in hex, or its address) waits for.

    Its state, who must act, the counts of its vote against the threshold, the next deadline by the
    chain's clock, its last transaction with the fee, and what is in its way: switches, breakers,
    failed submissions and runs, open alerts.

    \b
    Exit codes: 0 shown, 1 no such market, 2 it is no id or Postgres does not answer.

    \b
    Example:
      zmart market 1010101010101010101010101010101010101010101010101010101010101010
    """
    from zmart_pipelines.health.market_status import read_market_status
    from zmart_pipelines.store.queries import markets

    key = _key(market)
    with transaction() as conn:
        row = markets.resolve(conn, key)
        if row is None:
            click.echo("no such market is in the ledger", err=True)
            raise SystemExit(EXIT_UNKNOWN)
        found = read_market_status(conn, with_running_system(Settings()), row)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _print(found)


def _key(text: str) -> bytes:
    """Return the 32 bytes of an id in hex or of an address in base58; exit where it is neither."""
    for decode in (bytes.fromhex, base58.decode):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == _KEY_BYTES:
            return key
    click.echo(f"{text[:100]!r} is neither a market's id in hex nor its address", err=True)
    raise SystemExit(EXIT_INVALID)


def _print(found: MarketStatus) -> None:
    _line("market", f"{found.market_id} at {found.address}")
    _line("question", found.question)
    _line("state", f"{found.state} since {found.state_since} ({found.commitment})")
    _line("waits for", found.waits_for)
    _line("who acts", found.actor or "no further act is possible")
    if found.deadline is not None:
        _line("deadline", f"{found.deadline}, in {found.seconds_left} s of the chain's clock")
    if found.vote is not None:
        vote = found.vote
        _line(
            "vote",
            f"{vote.kind}, round {vote.round}: {vote.votes_for} for, {vote.votes_against} against"
            f" ({vote.share_bps} of {vote.threshold_bps} basis points),"
            f" {vote.ballots} of {vote.minimum_ballots} ballots{', frozen' * vote.is_frozen}",
        )
    if found.last_transaction is not None:
        last = found.last_transaction
        fee = "fee unknown" if last.fee is None else f"fee {last.fee} lamports"
        _line(
            "last", f"{last.event} in slot {last.slot} ({last.commitment}, {fee}) {last.signature}"
        )
    for blocker in found.blockers:
        since = f" since {blocker.since}" if blocker.since else ""
        detail = "".join(f", {name} {value}" for name, value in blocker.detail.items())
        _line("blocker", f"{blocker.kind} {blocker.name}{since}{detail}")


def _line(name: str, text: str) -> None:
    click.echo(f"{name:10}  {text}")
