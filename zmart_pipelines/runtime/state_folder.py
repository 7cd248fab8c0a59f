"""The state folder: everything the embedded parts keep, and how others find them.

::

    .zmart/
      up.lock            held by the running supervisor; its text is who and where
      environment        0600; the addresses (with passwords) that other commands use
      secrets/           0700; one random value per file, made once
      run/NAME.json      pid and start time of each child
      logs/NAME.log
      postgres/ redis/ localnet/ dagster/ demo/ pins/
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmart_pipelines.settings import Settings

ENTRIES = (
    *("environment", "postgres.place", "secrets", "run", "logs"),
    *("postgres", "redis", "localnet", "dagster", "demo", "pins"),
)


@dataclass(frozen=True)
class StateFolder:
    """Paths and small files under ``ZMART_STATE``."""

    root: Path

    @classmethod
    def of(cls, settings: Settings) -> StateFolder:
        """The folder a process with these settings uses (absolute)."""
        return cls(settings.zmart_state.absolute())

    def prepare(self) -> None:
        """Make the folders. Only the secrets are closed; servers may need to pass the root."""
        for folder in (self.root, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        self.secrets.chmod(0o700)

    @property
    def logs(self) -> Path:
        """Folder of the children's output."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Folder of the pid files."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        """Folder of the generated secrets."""
        return self.root / "secrets"

    @property
    def lock(self) -> Path:
        """File whose lock the running supervisor holds."""
        return self.root / "up.lock"

    @property
    def addresses(self) -> Path:
        """File with the settings that the last ``zmart up`` gave its children."""
        return self.root / "environment"

    def entries(self) -> list[Path]:
        """Return the paths that ``zmart up`` creates here, whether they exist or not."""
        return [self.root / name for name in ENTRIES]

    def secret(self, name: str) -> str:
        """The secret of that name, made at its first use (43 URL-safe characters)."""
        path = self.secrets / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text().strip()

    def save_environment(self, values: Mapping[str, str]) -> None:
        """Keep what other commands need to find the running system."""
        write_private(self.addresses, json.dumps(dict(values), indent=1, sort_keys=True))

    def load_environment(self) -> dict[str, str]:
        """What ``save_environment`` kept; empty before the first ``zmart up``."""
        if not self.addresses.exists():
            return {}
        return dict[str, str](json.loads(self.addresses.read_text()))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def with_running_system(settings: Settings) -> Settings:
    """The settings with the embedded parts' addresses filled in where none was given.

    A command such as ``zmart status`` finds the system that ``zmart up`` started from the
    same folder this way; what the environment sets wins.
    """
    found: dict[str, Any] = {name: getattr(settings, name) for name in settings.model_fields_set}
    for name, value in StateFolder.of(settings).load_environment().items():
        field = name.lower()
        if field in Settings.model_fields and field not in settings.model_fields_set:
            found[field] = value
    return Settings.model_validate(found)
