"""Secrets of the running system: in the processes that need them, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psutil
import pytest
from sqlalchemy import make_url

from tests.fixtures.processes import command_line
from tests.fixtures.running_system import RunningSystem
from zmart_pipelines.runtime.process_environment import SECRETS
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role

pytestmark = pytest.mark.system

PYTHON_PROCESSES = ("api", "code-server", "daemon", "webserver", "localnet", "demo")


def secrets(system: RunningSystem) -> dict[str, str]:
    """Return what is secret in the value of each setting that is set, by the setting's name."""
    values = json.loads((system.state / "environment").read_text())
    found = {}
    for name in Settings.secret_fields():
        value = values.get(name.upper())
        if value and not name.startswith("solana"):  # a local chain has no key in its URL
            found[name] = str(make_url(value).password) if "://" in value else value
    assert len(found) > 10
    return found


def tree(system: RunningSystem, name: str) -> Iterator[psutil.Process]:
    process = psutil.Process(system.pid(name))
    yield process
    yield from process.children(recursive=True)


def test_environment_of_each_process_has_its_own_secrets_alone(
    running_system: RunningSystem,
) -> None:
    known = secrets(running_system)
    for name in PYTHON_PROCESSES:
        allowed = set(SECRETS[name])
        if name in ("code-server", "daemon", "webserver"):
            allowed.add(Role.DAGSTER.setting)
        for process in tree(running_system, name):
            try:
                environment = "\0".join(process.environ().values())
            except psutil.Error:
                continue  # a run worker that has just ended
            visible = {setting for setting, value in known.items() if value in environment}
            assert visible <= allowed, name
            assert "database_url" not in visible


def test_no_secret_is_in_a_command_line_or_a_log(running_system: RunningSystem) -> None:
    known = {
        name: value for name, value in secrets(running_system).items() if "keypair" not in name
    }
    lines = [command_line(process) for process in running_system.processes()]
    logs = [file.read_text(errors="replace") for file in (running_system.state / "logs").iterdir()]
    outputs = [
        file.read_text(errors="replace")
        for file in (running_system.state / "dagster").rglob("*")
        if file.is_file()
    ]
    for text in (*lines, *logs, *outputs, running_system.output.read_text()):
        assert [name for name, value in known.items() if value in text] == []


def test_doctor_accepts_every_login(running_system: RunningSystem) -> None:
    answer = running_system.run("doctor", "--json")
    found = {row["subject"]: row["status"] for row in json.loads(answer.stdout)}
    logins = {subject: status for subject, status in found.items() if "login of" in subject}
    assert logins == {f"login of {role.value}": "ok" for role in Role if role is not Role.OWNER}
