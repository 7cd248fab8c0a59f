"""The worked examples of docs/localnet.md work as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from clients.generation.node import NODE
from localnet.faults import FaultKind
from tests.fixtures.clients import FOLDER, RunClient
from tests.fixtures.localnet import Localnet

PAGE = Path(__file__).parents[2] / "docs" / "localnet.md"


def example(language: str, chain: Localnet) -> str:
    text = PAGE.read_text().replace("http://127.0.0.1:8899", chain.rpc_url)
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def test_python_example(ticking_localnet: Localnet) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example("python", ticking_localnet)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "PROPOSED"


def test_typescript_example(ticking_localnet: Localnet, run_client: RunClient) -> None:
    assert run_client is not None  # the packages are installed
    done = subprocess.run(
        [NODE, "--input-type=module-typescript", "-e", example("typescript", ticking_localnet)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=FOLDER,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "confirmed"


def test_every_command_is_documented(localnet: Localnet) -> None:
    text = PAGE.read_text()
    with pytest.raises(ValueError, match="unknown command") as refused:
        localnet.control.command("unknown")
    commands = str(refused.value).split("known commands: ")[1].split(", ")
    assert [name for name in [*commands, *FaultKind] if f"`{name}`" not in text] == []
