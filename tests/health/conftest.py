"""The world of the submissions' tests: a real chain, a real database, real keys."""

from tests.submissions.conftest import world

__all__ = ["world"]
