"""The world that submissions are tested in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.localnet import StartLocalnet
from tests.submissions.world import World


@pytest.fixture
def world(
    start_localnet: StartLocalnet, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[World]:
    """A world of the test's own; an indirect parameter holds flags for its chain."""
    flags: tuple[str, ...] = getattr(request, "param", ())
    made = World(start_localnet(*flags), database, tmp_path / "state")
    yield made
    made.close()
