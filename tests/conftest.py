"""Fixtures that every part may use; they live in ``tests/fixtures``."""

import pytest

pytest_plugins = [
    "tests.fixtures.clients",
    "tests.fixtures.localnet",
    "tests.fixtures.postgres",
    "tests.fixtures.redis",
]

# Files that take minutes go first, so that no worker is left alone with one at the end.
LONGEST = ("tests/system/", "tests/differential/", "tests/submissions/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; all else stays in its order."""

    def rank(item: pytest.Item) -> int:
        ranks = (place for place, part in enumerate(LONGEST) if item.nodeid.startswith(part))
        return next(ranks, len(LONGEST))

    items.sort(key=rank)
