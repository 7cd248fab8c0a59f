"""Programs of a Node package, run with its locked packages."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from clients.generation.node import NODE, install_packages

Run = Callable[..., str]


def node_in(folder: Path) -> Run:
    """Return what runs Node in the folder of a package and returns what it printed."""
    install_packages(folder)

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            [NODE, *arguments], cwd=folder, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-5_000:]
        return done.stdout

    return run
