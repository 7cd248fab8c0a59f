"""Build the dashboard with the environment's Node: ``make web``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from clients.generation.node import NODE, install_packages

WEB = Path(__file__).parents[2] / "web"

if __name__ == "__main__":
    install_packages(WEB)
    subprocess.run([NODE, "build.mjs"], cwd=WEB, check=True)
