"""Fixtures, markers and Hypothesis profiles of the whole test suite."""

import pytest

pytest_plugins = [
    "tests.fixtures.clients",
    "tests.fixtures.hypothesis_profiles",
    "tests.fixtures.localnet",
    "tests.fixtures.postgres",
    "tests.fixtures.redis",
    "tests.fixtures.unit_marker",
    "pytester",
]

# Files that take minutes run first, so that no worker is left with a long one at the end.
LONGEST = ("tests/system/", "tests/differential/", "tests/submissions/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order stays the same otherwise."""

    def rank(item: pytest.Item) -> int:
        ranks = (place for place, part in enumerate(LONGEST) if item.nodeid.startswith(part))
        return next(ranks, len(LONGEST))

    items.sort(key=rank)
