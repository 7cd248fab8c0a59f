"""``zmart verify-tally``: recount a submitted tally from its published ballots."""

from __future__ import annotations

import click
import msgspec

from zmart_pipelines.runtime.state import connected
from zmart_pipelines.settings import Settings

EXIT_WRONG, EXIT_UNREADABLE = 1, 2


@click.command("verify-tally")
@click.argument("cid")
@click.option("--json", "as_json", is_flag=True, help="Print the recount as JSON.")
def verify_tally(cid: str, as_json: bool) -> None:
    """Recount the ballot bundle CID and compare it with the market's account.

    \b
    Exit codes: 0 every proof holds and the chain has these counts, 1 something is wrong,
    2 the bundle or the chain cannot be read.

    \b
    Example:
      zmart verify-tally QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG
    """
    from zmart_pipelines.chain.reader import ChainReader
    from zmart_pipelines.chain.rpc import RateLimited, RpcClient, RpcError, RpcUnavailable
    from zmart_pipelines.ipfs import PinError, pin_store
    from zmart_pipelines.voting.bundle import BundleError, recount

    settings = connected(Settings())
    try:
        found = recount(cid, pin_store(settings).get)
        with RpcClient(settings.solana_rpc_url.get_secret_value(), settings.rpc_timeout) as rpc:
            reader = ChainReader(rpc, settings.program)
            account = reader.market(bytes.fromhex(found.market_id)).value
    except (BundleError, PinError, RpcError, RpcUnavailable, RateLimited) as error:
        click.echo(f"{cid}: {error}", err=True)
        raise SystemExit(EXIT_UNREADABLE) from error
    problems = list(found.problems)
    counted = (found.votes_for, found.votes_against)
    if account is None:
        problems.append("the market is not on chain")
    else:
        on_chain = (
            (account.proposal_likes, account.proposal_dislikes)
            if found.kind == "proposal"
            else (account.dispute_agree, account.dispute_disagree)
        )
        if on_chain != counted:
            problems.append(f"the chain has {on_chain[0]} for and {on_chain[1]} against")
    if as_json:
        facts = msgspec.to_builtins(found) | {"problems": problems}
        click.echo(msgspec.json.encode(facts).decode())
    else:
        click.echo(
            f"{found.kind} of market {found.market_id}, round {found.round}: {counted[0]} for, "
            f"{counted[1]} against, {found.from_chain} of them cast on chain"
        )
        for problem in problems:
            click.echo(f"wrong: {problem}")
        if not problems:
            click.echo("every proof holds; the chain has the same counts")
    raise SystemExit(EXIT_WRONG if problems else 0)
