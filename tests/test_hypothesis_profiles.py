"""The profile of Hypothesis that all tests use, also once every test module is imported."""

import os

from hypothesis import settings


def test_examples_have_no_deadline_and_are_the_same_in_every_run_of_ci() -> None:
    assert settings.get_current_profile_name() == ("ci" if os.environ.get("CI") else "local")
    assert settings.default is not None
    assert settings.default.deadline is None
    assert settings.default.derandomize == bool(os.environ.get("CI"))
