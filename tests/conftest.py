"""Fixtures and the order of the whole test suite."""

import gc
import os
import sys

import pytest

# Each module is compiled once, instead of by each of the hundreds of processes that tests start.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A developer's .env must not reach the tests, nor the processes that they start.
os.environ["ZMART_ENV_FILE"] = ""

pytest_plugins = [
    "tests.fixtures.alert_receivers",
    "tests.fixtures.browser",
    "tests.fixtures.clients",
    "tests.fixtures.hypothesis_profiles",
    "tests.fixtures.localnet",
    "tests.fixtures.postgres",
    "tests.fixtures.redis",
    "tests.fixtures.running_system",
    "tests.fixtures.tracing",
    "tests.fixtures.unit_marker",
    "pytester",
]

# Files that take minutes run first, so that no worker is left with a long one at the end.
LONGEST = (
    "tests/api/test_schemathesis.py",
    "tests/system/",
    "tests/differential/",
    "tests/submissions/",
    "tests/clients/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order stays the same otherwise."""

    def rank(item: pytest.Item) -> int:
        ranks = (place for place, part in enumerate(LONGEST) if item.nodeid.startswith(part))
        return next(ranks, len(LONGEST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from visiting the imported modules again and again."""
    gc.collect()
    gc.freeze()
