"""The world that submissions are tested in, for commands that read the chain."""

from tests.submissions.conftest import world

__all__ = ["world"]
