"""``API_PROCESSES``: supervised one by one, stopped together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.running_system import RunningSystem
from tests.system.parts import kill

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

NAMES = {"api", "api-2", "api-3"}


@pytest.fixture
def system() -> Iterator[RunningSystem]:
    with RunningSystem("--no-demo", API_PROCESSES="3") as running:
        yield running


def answering(system: RunningSystem) -> str | None:
    """The process that the kernel chose for a request; None where it fails meanwhile."""
    url = f"http://127.0.0.1:{system.environment['API_PORT']}/health"
    try:
        answer = httpx.get(url, timeout=30, trust_env=False)
    except httpx.TransportError:
        return None
    return str(answer.json()["process"]) if answer.is_success else None


def all_answer(system: RunningSystem) -> bool:
    seen: Counter[str | None] = Counter(answering(system) for _ in range(60))
    return set(seen) - {None} == NAMES


def test_killed_process_comes_back_by_itself_and_all_stop_together(system: RunningSystem) -> None:
    system.start()
    system.wait_for(lambda: all_answer(system), 60, "three processes that answer")
    pids = {name: system.pid(name) for name in NAMES}
    assert len(set(pids.values())) == 3
    kill(pids["api-2"])
    system.wait_for(lambda: all_answer(system), 120, "three processes again")
    assert system.pid("api-2") != pids["api-2"]
    assert {name: system.pid(name) for name in ("api", "api-3")} == {
        name: pids[name] for name in ("api", "api-3")
    }
    system.stop()
    assert system.processes() == []
