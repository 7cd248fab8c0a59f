"""``zmart restore --from-chain`` as an operator runs it: a process, with an external chain."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from tests.fixtures.running_system import PROJECT, ZMART
from zmart_pipelines.runtime.temporary_postgres import login_settings

SECONDS: Final = 1_800


class RestoreCommand:
    """The command on a database, which may be empty, and a chain."""

    def __init__(self, database: str, rpc_url: str, redis_url: str, state: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if "ZMART" not in name},
            **{name.upper(): url for name, url in login_settings(database).items()},
            "BACKFILL_CALLS_PER_SECOND": "100000",
            "REDIS_URL": redis_url,
            "SOLANA_CLUSTER": "localnet",
            "SOLANA_RPC_URL": rpc_url,
            "ZMART_ENV_FILE": "",
            "ZMART_STATE": str(state),
        }

    def from_chain(
        self, *options: str, rpc_url: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Restore from the chain alone, or from another node of it."""
        other = {} if rpc_url is None else {"SOLANA_RPC_URL": rpc_url}
        return self._run("restore", "--from-chain", *options, **other)

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run every check."""
        return self._run("check")

    def _run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ZMART, *arguments],
            cwd=PROJECT,
            env={**self._environment, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
