"""The runbook of a cause, its commands run as they stand on the stage where it has come about."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from click.testing import CliRunner
from sqlalchemy import select, text

from tests.docs import runbook_pages
from tests.monitoring.scenarios.stage import Stage
from zmart_pipelines.cli import main
from zmart_pipelines.monitoring.alerts import AlertKey
from zmart_pipelines.store.tables.ops import alerts

# Their commands need processes: an API for curl, a daemon to kill, logs, the jobs of Dagster.
NEEDS_A_SYSTEM: Final = frozenset(
    {
        "alert_delivery",
        "api_errors",
        "bundle_not_pinned",
        "check",
        "daemon_silent",
        "database_unreachable",
        "failed_uploads",
        "ipfs_gateway",
        "monitor_silent",
        "pin_storage",
        "rate_limit_violations",
        "restarts",
        "socket_drops",
    }
)
# Tools of the machine, which say nothing of the stage.
_MACHINE: Final = frozenset({"date", "df"})


class RunbookDrill:
    """The page of a cause, for the alert that is open."""

    def __init__(self, stage: Stage, key: AlertKey) -> None:
        self._stage = stage
        self._key = key
        self._page = runbook_pages.parts(runbook_pages.pages()[key.topic].read_text())
        (self._over,) = runbook_pages.commands(self._page["It is over when"])

    def follow(self, shows: str) -> None:
        """Run the first query, which must show the cause, and the safe action."""
        assert self._run(self._over)[0] == 1, "the page says that it is over"
        first = [self._run(one) for one in runbook_pages.commands(self._page["First query"])]
        shown = "".join(output for _, output in first)
        assert shows in shown, shown
        for command in runbook_pages.commands(self._page["Safe action"]):
            code, output = self._run(command)
            assert code in (0, 1), f"{command}\n{output}"

    def assert_over(self) -> None:
        """Run the exit command."""
        code, output = self._run(self._over)
        assert code == 0, output

    def _run(self, command: str) -> tuple[int, str]:
        name, *words = runbook_pages.filled(command, self._values())
        if name in _MACHINE:
            return 0, ""
        assert name == "zmart", command
        done = CliRunner().invoke(main, words, env=self._environment())
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def _environment(self) -> Mapping[str, str]:
        """What an operator's shell has who works on the stage."""
        named = self._stage.settings(redis_url=self._stage.redis_url)
        return {
            **os.environ,
            **{
                name: value
                for name, value in named.environment().items()
                if name.lower() in named.model_fields_set
            },
        }

    def _values(self) -> Mapping[str, str]:
        """What the words in capitals stand for."""
        subject = self._key.subject or ""
        market = self._key.market_id or self._scalar(
            "SELECT market_id FROM market.markets ORDER BY market_id LIMIT 1"
        )
        signature = self._scalar(
            "SELECT signature FROM chain.transactions"
            " ORDER BY superseded_by IS NULL, slot DESC LIMIT 1"
        )
        return {
            "MARKET": market.hex(),
            "SIGNATURE": signature.hex(),
            "ID": subject or self._number(),
            "NAME": subject,
            "ACTION": subject,
        }

    def _number(self) -> str:
        """The number of the alert, as the first query shows it."""
        newest = select(alerts.c.id).where(alerts.c.topic == self._key.topic)
        with self._stage.owner.connect() as conn:
            return str(conn.execute(newest.order_by(alerts.c.id.desc()).limit(1)).scalar_one())

    def _scalar(self, statement: str) -> bytes:
        with self._stage.owner.connect() as conn:
            return bytes(conn.execute(text(statement)).scalar() or b"")
