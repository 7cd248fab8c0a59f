"""The processes that turn a restored database into a checked one, run by the supervisor."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from zmart_pipelines.backup.fill_database import EXIT_REFUSED
from zmart_pipelines.runtime.process_environment import process_environment
from zmart_pipelines.runtime.processes import PROJECT, System
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.supervisor import Process, Supervisor

_PARTS: Final = ("postgres", "redis", "migrate", "localnet")
# Of zmart backfill and of the checks; running them again would not help.
_FAILED: Final = frozenset({1, 2})


def restored_system(
    system: System, state: StateFolder, say: Callable[[str], None], fill: Sequence[str] | None
) -> Supervisor:
    """Return the supervisor of the servers and of the steps after a restore.

    Args:
        system: The planned system.
        state: Its state folder.
        say: Prints a line.
        fill: Arguments of ``fill_database``, which runs before the migrations; None: the database
            is there already.
    """
    parts = {one.name: one for one in system.processes if one.name in _PARTS}
    steps: list[Process] = []
    if fill is not None:
        command = ("zmart_pipelines.backup.fill_database", *fill)
        steps.append(_step(system, "restore", *command, needs=parts["migrate"].needs))
        parts["migrate"] = replace(parts["migrate"], needs=("restore",))
    servers = tuple(name for name in parts if name != "migrate")
    read_chain = ("zmart_pipelines.cli", "backfill", "--reason", "restore")
    steps.append(_step(system, "catch-up", *read_chain, needs=("migrate", *servers)))
    steps.append(_step(system, "checks", "assets.run_checks", needs=("catch-up",)))
    return Supervisor(
        [*parts.values(), *steps],
        state,
        addresses={},
        say=say,
        server_homes=system.server_homes,
    )


def _step(system: System, name: str, *command: str, needs: tuple[str, ...]) -> Process:
    return Process(
        name=name,
        command=(sys.executable, "-m", *command),
        environment=process_environment(name, system.settings),
        folder=PROJECT,
        needs=needs,
        once=True,
        echo=True,
        fatal_codes=_FAILED | {EXIT_REFUSED},
    )
