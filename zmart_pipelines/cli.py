"""The ``zmart`` command.

It starts the API, the pipelines, the local chain and the demo only as processes and
imports none of them.
"""

from __future__ import annotations

import click

from zmart_pipelines.commands.data import check, migrate
from zmart_pipelines.commands.status import status
from zmart_pipelines.commands.up import localnet, up


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zmart-pipelines")
def main() -> None:
    """ZMART Pipelines: the data plane behind a prediction market on Solana.

    Settings come from the environment; the state folder is ZMART_STATE (.zmart).
    """


for command in (up, status, migrate, check, localnet):
    main.add_command(command)

if __name__ == "__main__":
    main()
