"""Fixtures that every part may use; they live in ``tests/fixtures``."""

pytest_plugins = [
    "tests.fixtures.clients",
    "tests.fixtures.localnet",
    "tests.fixtures.postgres",
    "tests.fixtures.redis",
]
