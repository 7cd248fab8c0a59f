"""The rules and the dashboard in deploy/monitoring, against Prometheus's own tools and a scrape.

``make system-packages`` installs Prometheus.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.fixtures.running_system import TEST_SECONDS, RunningSystem
from tests.system.launchpad import launch
from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.runtime.ports import unused_port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
SEVERITIES = {"critical", "high", "medium"}
# Recordings and figures appear after so many seconds.
SERIES_SECONDS = 150

pytestmark = pytest.mark.system

Query = Callable[[str], list[Any]]


def rules(file: str) -> list[dict[str, Any]]:
    found = yaml.safe_load((FOLDER / file).read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )


def test_configuration_and_rules_load() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert f"{len(rules('alert_rules.yml'))} rules found" in done.stdout


def test_each_alert_is_raised_by_its_case_and_none_by_a_healthy_system() -> None:
    done = promtool("test", "rules", "alert_rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    cases = yaml.safe_load((FOLDER / "alert_rules_test.yml").read_text())["tests"]
    raised = {
        one["alertname"] for case in cases for one in case["alert_rule_test"] if "exp_alerts" in one
    }
    silent = {
        one["alertname"]
        for case in cases
        for one in case["alert_rule_test"]
        if "exp_alerts" not in one
    }
    alerts = {rule["alert"] for rule in rules("alert_rules.yml")}
    assert raised == silent == alerts


def test_a_raised_threshold_turns_the_case_red(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    changed = tmp_path / "alert_rules.yml"
    changed.write_text(changed.read_text().replace("ratio5m > 0.10", "ratio5m > 0.90"))
    done = subprocess.run(
        ["promtool", "test", "rules", "alert_rules_test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "ApiErrorsCritical" in done.stdout + done.stderr


def test_each_alert_has_a_severity_and_a_runbook() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    found = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    headings = {heading.lower().replace(" ", "-") for heading in found}
    runbooks = {cause.runbook for cause in CAUSES.values()}
    for rule in rules("alert_rules.yml"):
        assert rule["labels"]["severity"] in SEVERITIES
        runbook = rule["annotations"]["runbook"]
        if runbook.startswith("docs/observability.md#"):
            assert runbook.partition("#")[2] in headings, rule["alert"]
        else:
            assert runbook in runbooks, rule["alert"]


@pytest.fixture
def query(
    running_system: RunningSystem, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Query]:
    """Ask a Prometheus that scrapes the running system each second."""
    folder = tmp_path_factory.mktemp("prometheus")
    first = int(running_system.environment["METRICS_PORT"])
    for path in FOLDER.glob("*.yml"):
        text = path.read_text().replace("interval: 15s", "interval: 1s")
        text = text.replace(":9470", f":{first}").replace(":9471", f":{first + 1}")
        (folder / path.name).write_text(text)
    port = unused_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def ask(expression: str) -> list[Any]:
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression}, timeout=10
        )
        assert answer.status_code == 200, answer.text
        series: list[Any] = answer.json()["data"]["result"]
        return series

    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/-/ready", timeout=2).is_success:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, (folder / "prometheus.log").read_text()
            time.sleep(0.2)
        yield ask
    finally:
        process.terminate()
        process.wait(30)


def panel_expressions() -> list[str]:
    dashboard = json.loads((FOLDER / "grafana_dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def measured_by(alert: str) -> list[str]:
    """The expressions that an alert compares with its thresholds."""
    if alert.startswith("absent("):
        return []
    return [re.split(r" (?:[<>]=?|==) ", part)[0] for part in alert.split(" and ")]


@pytest.mark.timeout(TEST_SECONDS)
def test_every_expression_returns_a_series_of_the_running_system(
    query: Query, running_system: RunningSystem
) -> None:
    # The schedule's first run comes minutes later.
    launch(running_system, "reconcile")
    wanted = {
        *panel_expressions(),
        *(rule["expr"] for rule in rules("recording_rules.yml")),
        *(one for rule in rules("alert_rules.yml") for one in measured_by(rule["expr"])),
    }
    assert len(wanted) > 60
    deadline = time.monotonic() + SERIES_SECONDS
    while wanted := {expression for expression in wanted if not query(expression)}:
        assert time.monotonic() < deadline, sorted(wanted)
        time.sleep(1)
    targets = {series["metric"]["job"]: series["value"][1] for series in query("up")}
    assert targets == {"zmart-exporter": "1", "zmart-api": "1"}
    assert not query("zmart_no_such_metric"), "what does not exist has no series"
