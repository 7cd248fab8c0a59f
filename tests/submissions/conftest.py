"""The world that submissions are tested in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.localnet import Localnet
from tests.submissions.world import World


@pytest.fixture
def world(localnet: Localnet, database: str, tmp_path: Path) -> Iterator[World]:
    made = World(localnet, database, tmp_path / "state")
    yield made
    made.close()
