"""The stage on which the causes of alerts come about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.alert_receivers import MailServer, Slack
from tests.fixtures.localnet import StartLocalnet
from tests.monitoring.scenarios.stage import Stage
from zmart_pipelines.runtime.postgres import PostgresServer


@pytest.fixture
def stage(
    postgres_server: PostgresServer,
    database: str,
    tmp_path: Path,
    start_localnet: StartLocalnet,
    slack: Slack,
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
) -> Iterator[Stage]:
    """A system on a fresh database, with a Slack and a mail server."""
    made = Stage(
        postgres_server,
        database,
        tmp_path,
        start_localnet,
        slack,
        mail_server,
        monkeypatch,
        redis_url,
    )
    yield made
    made.close()
