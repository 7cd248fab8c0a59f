"""``python -m demo``: let the cast act on a running system until stopped."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from demo.api import ApiClient
from demo.chain import Chain
from demo.environment import Environment
from demo.progress import Progress
from demo.runner import BUSY, GENTLE, Runner
from demo.script import CAST
from demo.wallets import load_wallets
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.settings import Settings
from zmart_pipelines.structured_logs import configure_logs


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--busy", is_flag=True, help="Play many fast markets at once, for benchmarks.")
def main(*, busy: bool) -> None:
    """Let the demo's cast act on the API and the chain of the settings until stopped."""
    settings = Settings()
    configure_logs(settings, part="demo")
    if settings.solana_cluster != "localnet":
        sys.exit("the demo runs on the local chain only; unset SOLANA_CLUSTER")
    folder = settings.zmart_state / "demo"
    wallets = load_wallets(folder / "wallets.json", CAST)
    url = settings.solana_rpc_url.get_secret_value()
    api_url = f"http://{settings.api_host}:{settings.api_port}"
    signal.signal(signal.SIGTERM, _stop)
    with RpcClient(url, settings.rpc_timeout) as rpc:
        chain = Chain(rpc, url, settings.program)
        api = ApiClient(
            api_url, settings.program, settings.solana_cluster, settings.service_api_key
        )
        progress = Progress(folder / "markets.json")
        show = Runner(Environment(api, chain, wallets), progress, _say, BUSY if busy else GENTLE)
        try:
            show.run()
        except KeyboardInterrupt:
            return


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
