"""The recipe for an event in CONTRIBUTING.md, followed step by step in a copy of the project.

The files come from the page, in its order, and so do the commands that must be green at the end.
A step that is missing from the page, or is not needed any more, fails a test here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.docs.project_index import PACKAGES, ROOT

NAME = "LiquidityAdded"
DISCRIMINATOR = sha256(f"event:{NAME}".encode()).digest()[:8]
FIELDS = [
    {"name": "market_id", "type": {"array": ["u8", 32]}},
    {"name": "provider", "type": "pubkey"},
    {"name": "amount", "type": "u64"},
    {"name": "timestamp", "type": "i64"},
]
# Discriminator, two keys, two 64-bit integers.
LENGTH = 8 + 2 * 32 + 2 * 8

STRUCT = f'''
class {NAME}(msgspec.Struct, frozen=True, gc=False):
    """Liquidity was added to a market; the amount is in lamports."""

    market_id: bytes
    provider: bytes
    amount: int
    timestamp: int


'''
HANDLER = f"""
def _add_liquidity(
    _p: Projection, market: MarketRow, _e: PlacedEvent, event: ev.{NAME}, _t: Timeline
) -> None:
    total = market.current_liquidity + event.amount
    market.current_liquidity = trading.check_u64(total, "current_liquidity")


"""
FOLD_TEST = f"""

def test_added_liquidity_counts() -> None:
    chain = Recorder()
    market_id = chain.create(1)
    of_market, configuration = placed_events(chain)
    (created,) = of_market[market_id]
    projection = fold.fold([created], configuration)
    assert projection.market is not None
    before = projection.market.current_liquidity
    place = created.place._replace(slot=created.place.slot + 1)
    added = ev.{NAME}(market_id, USER, 77, 1_790_000_000)
    fold.apply(projection, PlacedEvent(place, added, created.address), configuration)
    assert projection.faults == []
    assert projection.market.current_liquidity == before + 77
"""


def put(text: str, anchor: str, addition: str, *, behind: bool = True) -> str:
    """Return the text with an addition behind (or before) an anchor that occurs once."""
    assert text.count(anchor) == 1, f"{anchor!r} occurs {text.count(anchor)} times"
    return text.replace(anchor, anchor + addition if behind else addition + anchor)


def edit_idl(text: str) -> str:
    """Add the event and its type."""
    document = json.loads(text)
    document["events"].append({"name": NAME, "discriminator": list(DISCRIMINATOR)})
    document["types"].append({"name": NAME, "type": {"kind": "struct", "fields": FIELDS}})
    return json.dumps(document, indent=2)


def edit_events(text: str) -> str:
    """Add the struct and make it a member of the union."""
    text = put(text, "\nEvent = (\n", STRUCT, behind=False)
    return put(text, "    | LiquidityWithdrawn\n", f"    | {NAME}\n")


def edit_fold(text: str) -> str:
    """Add the handler and register it."""
    text = put(text, "\n_HANDLERS: ", HANDLER, behind=False)
    return put(text, "    ev.ProposalApproved:", f"    ev.{NAME}: _add_liquidity,\n", behind=False)


def edit_test_idl(text: str) -> str:
    """Add the discriminator."""
    return put(text, "\nEVENTS = {\n", f'    "{NAME}": "{DISCRIMINATOR.hex()}",\n')


def edit_test_codecs(text: str) -> str:
    """Add the length."""
    return put(text, "\nLENGTHS = {\n", f'    "{NAME}": {{{LENGTH}}},\n')


def edit_test_fold(text: str) -> str:
    """Add a test, and name the event among those that the reference model never emits."""
    return put(text, '        "ProtocolPauseStatusChanged",\n', f'        "{NAME}",\n') + FOLD_TEST


EDITS: dict[str, Callable[[str], str]] = {
    "zmart_pipelines/program/zmart_core.json": edit_idl,
    "zmart_pipelines/program/events.py": edit_events,
    "zmart_pipelines/ledger/model/fold.py": edit_fold,
    "tests/program/test_idl.py": edit_test_idl,
    "tests/program/test_codecs.py": edit_test_codecs,
    "tests/ledger/test_fold.py": edit_test_fold,
}


def recipe() -> str:
    """Return the page's section on events."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.search(r"^### An event\n(.*?)^### ", page, re.MULTILINE | re.DOTALL)
    assert found is not None, "CONTRIBUTING.md has no section 'An event'"
    return found[1]


def steps() -> list[str]:
    """Return the files of the recipe's numbered steps."""
    return re.findall(r"^\d+\. `([^`]+)`", recipe(), re.MULTILINE)


def commands() -> list[list[str]]:
    """Return the recipe's commands, as words."""
    found = re.search(r"^```sh\n(.*?)^```", recipe(), re.MULTILINE | re.DOTALL)
    assert found is not None, "the recipe names no commands"
    return [shlex.split(line) for line in found[1].splitlines()]


def follow(folder: Path, files: list[str]) -> Path:
    """Return a copy of the project in which these steps are done."""
    copy = folder / "project"
    copy.mkdir()
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    for file in files:
        path = copy / file
        path.write_text(EDITS[file](path.read_text()))
    return copy


def long_searches() -> list[str]:
    """Return the options that deselect long Hypothesis searches, which never see the event."""
    file = "tests/ledger/test_fold.py"
    text = (ROOT / file).read_text()
    names = re.findall(r"^@settings\(max_examples.*?^def (\w+)", text, re.MULTILINE | re.DOTALL)
    return [f"--deselect={file}::{name}" for name in names]


def run(copy: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the page in the copy."""
    options = ["-x", "-p", "no:cacheprovider", *long_searches()]
    environment = {**os.environ, "PYTEST_ADDOPTS": " ".join(options)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        words, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_recipe_names_the_files_that_an_event_touches() -> None:
    assert steps() == list(EDITS)


def test_recipe_has_commands() -> None:
    assert [words[0] for words in commands()] == [".venv/bin/pytest", ".venv/bin/lint-imports"]


@pytest.mark.process
@pytest.mark.timeout(300)  # on a busy machine; 20 s otherwise
def test_project_is_green_when_every_step_is_done(tmp_path: Path) -> None:
    copy = follow(tmp_path, steps())
    for words in commands():
        done = run(copy, words)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.slow
@pytest.mark.parametrize("omitted", EDITS)
def test_project_is_red_when_a_step_is_left_out(tmp_path: Path, omitted: str) -> None:
    copy = follow(tmp_path, [file for file in steps() if file != omitted])
    done = run(copy, commands()[0])
    assert done.returncode != 0
    assert NAME in done.stdout + done.stderr, "it must fail because of the step"
