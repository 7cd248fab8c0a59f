"""The table of health in docs/operations.md states the settings' thresholds."""

from __future__ import annotations

import re

from tests.docs.project_index import ROOT
from zmart_pipelines.monitoring.work_health import SERVICES
from zmart_pipelines.settings import Settings

PAGE = (ROOT / "docs" / "operations.md").read_text()
SECTION = re.search(r"^## Health\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| (\d+) \| (\d+) \| [^|]+ \|$", re.MULTILINE)


def test_table_of_quantities_states_every_threshold() -> None:
    assert SECTION is not None
    shown = {name: f"{degraded}/{down}" for name, _, degraded, down in _ROW.findall(SECTION[1])}
    defaults = Settings(_env_file=None).health_thresholds
    assert shown == {name: str(threshold) for name, threshold in defaults.items()}


def test_every_service_is_named() -> None:
    assert SECTION is not None
    assert [name for name in SERVICES if f"`{name}`" not in SECTION[1]] == []
