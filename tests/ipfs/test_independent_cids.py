"""IPFS's own implementation in JavaScript computes the same CIDs."""

from __future__ import annotations

import random
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from clients.generation.node import NODE, install_packages
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0
from zmart_pipelines.snapshots.documents import Period, documents
from zmart_pipelines.store.queries.discussion_snapshots import ChangedComment

PACKAGE = Path(__file__).parent / "javascript"
DAY = datetime(2026, 5, 1, tzinfo=UTC)

pytestmark = pytest.mark.process


def computed_elsewhere(contents: list[bytes], folder: Path) -> list[str]:
    """The CIDs of these files by ipfs-unixfs-importer."""
    install_packages(PACKAGE)
    paths = [folder / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    done = subprocess.run(
        [NODE, "cids.mjs", *paths], cwd=PACKAGE, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_files_of_every_size_have_the_same_cid(tmp_path: Path) -> None:
    choose = random.Random(11)
    # Around the lengths at which a varint of the node becomes longer.
    sizes = [
        0,
        1,
        118,
        119,
        120,
        127,
        128,
        16_371,
        16_372,
        16_383,
        16_384,
        MAX_BLOCK - 1,
        MAX_BLOCK,
    ]
    sizes += [choose.randrange(MAX_BLOCK) for _ in range(40)]
    contents = [choose.randbytes(size) for size in sizes]
    assert computed_elsewhere(contents, tmp_path) == [cid_v0(one) for one in contents]


def test_parts_of_a_snapshot_that_outgrows_one_block_have_the_same_cids(tmp_path: Path) -> None:
    comments = [
        ChangedComment(
            UUID(int=number), None, bytes(32), f"größer {number} " * 70, None, DAY, None, None, None
        )
        for number in range(1_000)
    ]
    made = documents(bytes([7]) * 32, Period(None, DAY + timedelta(days=1)), None, comments)
    assert len(made) > 3
    assert max(len(one.data) for one in made) > MAX_BLOCK - 4_000
    assert computed_elsewhere([one.data for one in made], tmp_path) == [one.cid for one in made]
