"""``zmart admin`` and ``zmart switch``: manual decisions, and the kill switches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from zmart_pipelines.commands.operator import command_line, record_act, required_reason_option
from zmart_pipelines.commands.transactions import transaction
from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

if TYPE_CHECKING:
    from zmart_pipelines.chain.account_reader import AccountReader
    from zmart_pipelines.submissions.admin import PreparedTransaction

T = TypeVar("T")

EXIT_REFUSED, EXIT_UNREACHABLE = 1, 2

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def admin() -> None:
    """Prepare transactions for the program's admin, and reopen votes.

    \b
    Example:
      zmart admin prepare pause on
    """


@admin.group()
def prepare() -> None:
    """Prepare a transaction that only the admin may sign.

    The transaction is printed unsigned, in base64, with a description of its effects. Any
    wallet with the admin's key can sign and send it until its blockhash expires after about
    150 blocks.

    \b
    Exit codes: 0 prepared, 1 refused, 2 the chain cannot be read.
    """


def _with_chain(read: Callable[[AccountReader], T]) -> T:
    """Return what ``read`` returns; exit where the chain cannot be read."""
    from zmart_pipelines.chain.account_reader import AccountMissing, AccountReader
    from zmart_pipelines.chain.connect import connect
    from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable

    settings = with_running_system(Settings())
    try:
        with connect(settings) as rpc:
            return read(AccountReader(rpc, settings.program))
    except (RpcError, RpcUnavailable, RateLimited, AccountMissing) as error:
        click.echo(f"the chain cannot be read: {error}", err=True)
        raise SystemExit(EXIT_UNREACHABLE) from error


def _prepared(
    make: Callable[[AccountReader], PreparedTransaction],
    *,
    json: bool,
    subject: str | None = None,
) -> None:
    from zmart_pipelines.submissions.admin import PrepareRefused
    from zmart_pipelines.submissions.market_reads import NoSuchMarket

    try:
        found = _with_chain(make)
    except (PrepareRefused, NoSuchMarket) as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_REFUSED) from error
    facts = {"kind": found.kind, "description": found.description}
    record_act("prepare_admin_transaction", subject, facts)
    if json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in found.description:
        click.echo(f"- {line}")
    click.echo(found.transaction)


@prepare.command()
@click.argument("market")
@as_json
def approve(market: str, as_json: bool) -> None:
    """Approve the proposal MARKET (id in hex, or address), whose tally is on chain.

    \b
    Example:
      zmart admin prepare approve 0101010101010101010101010101010101010101010101010101010101010101
    """
    from zmart_pipelines.submissions import admin as prepare
    from zmart_pipelines.submissions.market_reads import read_market_by_name

    def make(reader: AccountReader) -> PreparedTransaction:
        account = read_market_by_name(reader.rpc, reader.program, market, "confirmed")
        return prepare.approve(reader, account)

    _prepared(make, json=as_json, subject=market)


@prepare.command()
@click.argument("market")
@as_json
def cancel(market: str, as_json: bool) -> None:
    """Cancel MARKET (id in hex, or address), which must be PROPOSED or APPROVED.

    \b
    Example:
      zmart admin prepare cancel 0101010101010101010101010101010101010101010101010101010101010101
    """
    from zmart_pipelines.submissions import admin as prepare
    from zmart_pipelines.submissions.market_reads import read_market_by_name

    def make(reader: AccountReader) -> PreparedTransaction:
        account = read_market_by_name(reader.rpc, reader.program, market, "confirmed")
        return prepare.cancel(reader, account)

    _prepared(make, json=as_json, subject=market)


@prepare.command()
@click.argument("state", type=click.Choice(["on", "off"]))
@as_json
def pause(state: str, as_json: bool) -> None:
    """Pause or unpause the protocol; refused if that is its state already.

    \b
    Example:
      zmart admin prepare pause on
    """
    from zmart_pipelines.submissions import admin as prepare

    _prepared(lambda reader: prepare.pause(reader, paused=state == "on"), json=as_json)


@prepare.command("update-config")
@click.option("--protocol-fee-bps", type=int)
@click.option("--resolver-reward-bps", type=int)
@click.option("--liquidity-provider-fee-bps", type=int)
@click.option("--proposal-approval-threshold", type=int, help="Basis points.")
@click.option("--dispute-success-threshold", type=int, help="Basis points.")
@click.option("--min-resolution-delay", type=int, help="Seconds.")
@click.option("--dispute-period", type=int, help="Seconds.")
@as_json
def update_config(as_json: bool, **values: int | None) -> None:
    """Change the given values of the configuration and keep the others.

    \b
    Example:
      zmart admin prepare update-config --dispute-period 172800
    """
    from zmart_pipelines.submissions import admin as prepare

    changes = {name: value for name, value in values.items() if value is not None}
    _prepared(lambda reader: prepare.update_config(reader, changes), json=as_json)


@admin.command()
@click.argument("market")
@click.argument("kind", type=click.Choice(["proposal", "dispute"]))
@required_reason_option
def reopen(market: str, kind: Any, reason: str) -> None:
    """Reopen the frozen vote of KIND on MARKET (id in hex) as its next round.

    Ballots of the previous round stay stored and do not count in the next one; wallets vote again,
    in a dispute for a whole period from now. A submitted tally stays on chain until the new round's
    tally replaces it. The new round's weight unit is the old one, or the smallest larger one with
    which the votes of all holders fit the chain's u32.

    \b
    Exit codes: 0 reopened, 1 there is no frozen vote or no reason, 2 Postgres does not answer, or
    the chain's clock cannot be read.

    \b
    Example:
      zmart admin reopen 0101010101010101010101010101010101010101010101010101010101010101 \
        proposal --reason "the threshold was raised"
    """
    from zmart_pipelines.operations.operator_acts import ActRefused, reopen_vote

    try:
        market_id = bytes.fromhex(market)
        chain_time = _with_chain(lambda reader: reader.rpc.chain_clock("finalized").unix_timestamp)
        with transaction() as conn:
            number = reopen_vote(
                conn, command_line(), market_id, kind, reason, chain_time=chain_time
            )
    except ValueError as error:
        click.echo(f"market {market} has no frozen {kind} vote", err=True)
        raise SystemExit(EXIT_REFUSED) from error
    except ActRefused as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_REFUSED) from error
    click.echo(f"the {kind} vote of market {market} is open in round {number}")


@click.command()
@click.argument("action", required=False)
@click.argument("state", type=click.Choice(["on", "off"]), required=False)
@click.option("--reason", default="", help="The reason; required to switch off.")
@as_json
def switch(action: str | None, state: str | None, reason: str, as_json: bool) -> None:
    """Show the kill switches of submissions, or set the one of ACTION ("all" for all).

    While an action is switched off, its submissions are decided, tallied and simulated, but
    neither signed nor sent. A running submitter reacts within a second.

    \b
    Exit codes: 0 shown or set, 1 refused, 2 Postgres does not answer.

    \b
    Example:
      zmart switch finalize_market off --reason "wrong counts in market 01ab, see the ticket"
      zmart switch
    """
    from zmart_pipelines.submissions import switches

    if action is not None:
        _set_switch(action, state, reason)
    with transaction() as conn:
        found = switches.read_switches(conn)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for one in found:
        click.echo(f"{one.action:26}{'on' if one.enabled else f'OFF: {one.reason}'}")
    if not with_running_system(Settings()).submissions_enabled:
        click.echo("SUBMISSIONS_ENABLED is false: nothing is signed or sent, whatever the switches")


def _set_switch(action: Any, state: str | None, reason: str) -> None:
    from zmart_pipelines.operations.operator_acts import ActRefused, set_switch

    try:
        if state is None:
            raise ActRefused("give the state, on or off")
        with transaction() as conn:
            set_switch(conn, command_line(), action, enabled=state == "on", reason=reason)
    except ActRefused as error:
        click.echo(str(error), err=True)
        raise SystemExit(EXIT_REFUSED) from error
