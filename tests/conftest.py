"""Fixtures, markers and Hypothesis profiles of the whole test suite."""

import gc
import os
import sys

import pytest
from hypothesis import HealthCheck, settings

# Time limits per example fail on a loaded machine, so that no profile has one.
settings.register_profile(
    "local", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# In CI the examples are the same in every run; a failure is not a matter of luck.
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

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
