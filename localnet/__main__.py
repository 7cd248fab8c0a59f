"""``python -m localnet``: start a local chain."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from solders.pubkey import Pubkey

from localnet.node import StateInUse
from localnet.options import Options
from localnet.server import PortTaken, run
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.settings import Settings
from zmart_pipelines.structured_logs import configure_logs

EXIT_USAGE = 2


@click.command(context_settings={"show_default": True, "max_content_width": 100})
@click.option(
    "--port",
    default=8899,
    type=click.IntRange(0, 65534),
    help="Port of the JSON-RPC and of the control API; WebSockets are on the port above. "
    "0 chooses a free pair.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on. The control API accepts only loopback clients.",
)
@click.option(
    "--state",
    default=Path(".zmart/localnet"),
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of keys, blocks and accounts; created when missing, else resumed.",
)
@click.option(
    "--seed",
    type=int,
    help="Makes keys and blockhashes reproducible; with --manual-clock also the chain's times. "
    "Takes effect when the chain is created.",
)
@click.option(
    "--manual-clock", is_flag=True, help="Slots and time advance only by POST /control/advance."
)
@click.option("--slot-ms", default=400, type=click.IntRange(10), help="Milliseconds of a slot.")
@click.option(
    "--confirm-depth",
    default=1,
    type=click.IntRange(1, 149),
    help="Blocks until a slot is confirmed.",
)
@click.option(
    "--finality-depth",
    default=8,
    type=click.IntRange(1, 149),
    help="Blocks until a slot is finalized; a real cluster has 32.",
)
@click.option(
    "--program",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="SBF shared object to run as the program; default: the reference program.",
)
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Create the chain as a copy of this snapshot (written by POST /control/snapshot).",
)
@click.option("--program-id", default=str(DEFAULT_PROGRAM_ID), help="Address of the program.")
@click.option(
    "--dispute-period",
    default=15,
    type=click.IntRange(1),
    help="Seconds of the dispute window written into GlobalConfig at genesis.",
)
@click.option(
    "--webhook/--no-webhook",
    default=True,
    help="Post the program's transactions to --webhook-url, in Helius' raw format, with the "
    "value of HELIUS_WEBHOOK_SECRET in the Authorization header.",
)
@click.option(
    "--webhook-url",
    default="http://127.0.0.1:4000/api/webhooks/helius",
    help="URL that webhooks are posted to.",
)
@click.option("--webhook-secret", envvar="HELIUS_WEBHOOK_SECRET", hidden=True)
@click.option("--verbose", is_flag=True, help="Log more to stderr.")
def main(
    port: int,
    host: str,
    state: Path,
    seed: int | None,
    manual_clock: bool,
    slot_ms: int,
    confirm_depth: int,
    finality_depth: int,
    program: Path | None,
    snapshot: Path | None,
    program_id: str,
    dispute_period: int,
    webhook: bool,
    webhook_url: str,
    webhook_secret: str | None,
    verbose: bool,
) -> None:
    """Run a local Solana chain with the market program on it.

    Prints "ready http://HOST:PORT" when it accepts requests. Stops on Ctrl-C or SIGTERM and
    resumes from its state folder at the next start.

    Example: python -m localnet --port 8899 --state .zmart/localnet
    """
    configure_logs(Settings(log_level="info" if verbose else "warning"), part="localnet")
    try:
        options = Options(
            state=state,
            host=host,
            port=port,
            seed=seed,
            manual_clock=manual_clock,
            slot_ms=slot_ms,
            confirm_depth=confirm_depth,
            finality_depth=finality_depth,
            program_id=Pubkey.from_string(program_id),
            program=program,
            snapshot=snapshot,
            dispute_period=dispute_period,
            webhook_url=webhook_url if webhook else None,
            webhook_secret=webhook_secret,
        )
        run(options)
    except (PortTaken, StateInUse, ValueError) as error:
        click.echo(f"localnet: {error}", err=True)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
