"""The mixed load runs against a whole system and finds no error in it."""

from __future__ import annotations

import pytest

from benchmarks.mixed_users import Crowd, Scene, booted


@pytest.mark.system
@pytest.mark.timeout(600)
def test_users_are_all_answered_and_sockets_receive_every_comment() -> None:
    with booted() as system:
        scene = Scene(system, markets=4)
        measured = scene.run(Crowd(users=20, seconds=5))
    assert len(measured.outcomes) == 100
    assert measured.errors() == []
    assert measured.frames == measured.owed
    assert measured.owed > 0
