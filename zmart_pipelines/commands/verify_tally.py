"""``zmart verify-tally``: recount a submitted tally from its published bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from zmart_pipelines.runtime.state_folder import with_running_system
from zmart_pipelines.settings import Settings

if TYPE_CHECKING:
    from zmart_pipelines.chain.account_reader import AccountReader
    from zmart_pipelines.voting.bundle import Recount
    from zmart_pipelines.voting.verification import Verification

EXIT_WRONG, EXIT_UNREADABLE = 1, 2
_GATEWAY_SECONDS = 20.0

Get = Callable[[str], bytes]


@click.command("verify-tally")
@click.argument("target", required=False)
@click.option(
    "--kind",
    type=click.Choice(["proposal", "dispute"]),
    help="Which vote of the market; default: the dispute, if there was one.",
)
@click.option(
    "--bundle",
    "files",
    type=click.Path(path_type=Path, exists=True),
    help="File of the bundle, or folder with all its blocks; default: the local pin store.",
)
@click.option("--gateway", help="IPFS gateway to read the bundle from, https://…/ipfs/.")
@click.option("--rpc-url", help="Solana RPC endpoint; default: SOLANA_RPC_URL.")
@click.option("--program", help="Address of the program; default: PROGRAM_ID.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify_tally(
    target: str | None,
    kind: Any,
    files: Path | None,
    gateway: str | None,
    rpc_url: str | None,
    program: str | None,
    as_json: bool,
) -> None:
    """Recount a submitted tally from its published bundle and compare it with the chain.

    TARGET is the bundle's CID, or a market (id in hex, or address) whose latest tally names its
    bundle; with --bundle it is optional. Only the bundle and an RPC endpoint are needed.
    Verified are every signature; that no wallet counts twice; the sums; the program and the
    cluster; that the transaction which wrote the tally names this bundle; the market's
    account; and every vote cast on chain.

    \b
    Exit codes: 0 the tally is correct, 1 it is not, 2 the bundle or the chain cannot be read.

    \b
    Example:
      zmart verify-tally QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG
      zmart verify-tally --bundle ballots/ --rpc-url https://api.devnet.solana.com
    """
    from zmart_pipelines.chain.account_reader import AccountReader
    from zmart_pipelines.chain.connect import connect
    from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
    from zmart_pipelines.ipfs.pin_store import PinError
    from zmart_pipelines.submissions.market_reads import NoSuchMarket
    from zmart_pipelines.voting.bundle import BundleError, recount
    from zmart_pipelines.voting.verification import verify_recount

    settings = _settings(rpc_url, program)
    try:
        with connect(settings) as rpc:
            reader = AccountReader(rpc, settings.program)
            get, roots = _blocks(settings, files, gateway)
            cid = _cid(target, roots, reader, kind)
            found = recount(cid, get)
            verified = verify_recount(found, reader)
    except BundleError as error:
        click.echo(f"wrong: {error}", err=True)
        raise SystemExit(EXIT_WRONG) from error
    except (PinError, NoSuchMarket, RpcError, RpcUnavailable, RateLimited) as error:
        click.echo(f"cannot be verified: {error}", err=True)
        raise SystemExit(EXIT_UNREADABLE) from error
    problems = (*found.problems, *verified.problems)
    if as_json:
        click.echo(msgspec.json.encode(_facts(found, verified)).decode())
    else:
        _print_recount(found, verified)
    raise SystemExit(EXIT_WRONG if problems else 0)


def _settings(rpc_url: str | None, program: str | None) -> Settings:
    settings = with_running_system(Settings())
    # Both names of the endpoint, since the environment may hold either.
    given = {"solana_rpc_url": rpc_url, "solana_rpc_urls": rpc_url, "program_id": program}
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    try:
        return Settings.model_validate(
            values | {name: value for name, value in given.items() if value is not None}
        )
    except ValueError as error:
        raise click.UsageError(f"--program: {program} is not an address") from error


def _blocks(settings: Settings, files: Path | None, gateway: str | None) -> tuple[Get, list[str]]:
    """Where blocks come from, and the roots among the files that were given."""
    from zmart_pipelines.ipfs.blocks import FileBlocks, fetch
    from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
    from zmart_pipelines.voting.bundle import roots

    if files is not None:
        read = FileBlocks(files)
        return read.get, roots(read.blocks)
    if gateway is not None:
        address = gateway.rstrip("/") + "/"
        return lambda cid: fetch(address, cid, _GATEWAY_SECONDS), []
    return configured_pin_store(settings).get, []


def _cid(target: str | None, roots: list[str], reader: AccountReader, kind: Any) -> str:
    """Return the root's CID, read from the chain where only the market is given."""
    from zmart_pipelines.ipfs.cid import is_cid_v0
    from zmart_pipelines.ipfs.pin_store import PinNotFound
    from zmart_pipelines.submissions.market_reads import read_market_by_name
    from zmart_pipelines.voting.verification import find_submissions

    if target is None:
        if len(roots) != 1:
            raise click.UsageError(
                f"name the CID or the market: --bundle holds {len(roots)} bundles"
                if roots
                else "name the bundle's CID or the market, or give --bundle with a bundle in it"
            )
        return roots[0]
    if is_cid_v0(target):
        return target
    if target.startswith("Qm"):
        raise PinNotFound(f"{target[:64]!r} is not a CIDv0, which has 46 characters")
    market = read_market_by_name(reader.rpc, reader.program, target, "confirmed")
    if kind is None:
        kind = "dispute" if market.dispute_total_votes else "proposal"
    written = find_submissions(reader, market, kind)
    if not written or written[-1].bundle_cid is None:
        raise PinNotFound(
            f"no {kind} counts of market {target} were written by a transaction that names a bundle"
        )
    return written[-1].bundle_cid


def _facts(found: Recount, verified: Verification) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(found)
    facts["ballots"] = len(found.ballots)
    facts["submission"] = msgspec.to_builtins(verified.submission)
    facts["superseded"] = verified.superseded
    facts["problems"] = [*found.problems, *verified.problems]
    return facts


def _print_recount(found: Recount, verified: Verification) -> None:
    total = found.votes_for + found.votes_against
    share = found.votes_for * 10_000 // total if total else 0
    click.echo(
        f"{found.kind} of market {found.market_id}, round {found.round}: {found.votes_for} for,"
        f" {found.votes_against} against, {share} bps of {found.threshold_bps} needed;"
        f" {len(found.ballots)} ballots, {found.from_chain} of them cast on chain"
    )
    if found.unbound:
        click.echo(
            f"{found.unbound} ballots use older schemes: their signatures prove the wallet, but not"
            " the choice"
        )
    if verified.submission is not None:
        click.echo(f"written by {verified.submission.signature}, slot {verified.submission.slot}")
    if verified.superseded is not None:
        click.echo(f"superseded by the tally of {verified.superseded}")
    problems = (*found.problems, *verified.problems)
    for problem in problems:
        click.echo(f"wrong: {problem}")
    if not problems:
        click.echo("every proof is valid; program, chain, transaction and account agree")
