"""What the scenarios of alerts act on: a database, receivers, and a chain where one is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
import psycopg
import pytest
from pydantic import SecretStr
from solders.instruction import Instruction
from solders.keypair import Keypair
from sqlalchemy import Engine

from tests.fixtures.alert_receivers import SECRET, MailServer, Slack
from tests.fixtures.localnet import StartLocalnet
from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.monitoring.alert_delivery import DeliveryReport, deliver
from zmart_pipelines.monitoring.alert_posters import Poster, posters
from zmart_pipelines.monitoring.alerts import AlertKey, open_alerts
from zmart_pipelines.monitoring.monitor import run_monitor
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.engine import Role

# Columns of times that shift when time passes.
_TIMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ops.alerts": ("raised_at", "acknowledged_at", "posted_at", "cleared_at"),
        "ops.alert_messages": ("created_at", "next_attempt_at", "claimed_until", "sent_at"),
        "ops.alert_silences": ("created_at", "ends_at"),
        "ops.api_counts": ("minute",),
        "ops.attempts": ("signed_at",),
        "ops.breakers": ("opened_at", "wait_until"),
        "ops.heartbeats": ("last_success_at", "last_attempt_at"),
    }
)
NEVER: Final = Threshold(2**31 - 2, 2**31 - 1)
# What a test machine may be short of is provoked by the scenarios of these causes alone.
QUIET: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "disk_used_percent": Threshold(998, 999),
        "database_connections_percent": Threshold(998, 999),
        "clock_skew_seconds": 3_600.0,
        # The chains of the tests began months ago.
        "stuck_approved_seconds": 2**31 - 1,
        "stuck_active_seconds": 2**31 - 1,
        "stuck_resolving_seconds": 2**31 - 1,
        "stuck_disputed_seconds": 2**31 - 1,
    }
)


class Stage:
    """A system of which a scenario uses what it needs."""

    def __init__(
        self,
        server: PostgresServer,
        database: str,
        folder: Path,
        start_localnet: StartLocalnet,
        slack: Slack,
        mail: MailServer,
        monkeypatch: pytest.MonkeyPatch,
        redis_url: str,
    ) -> None:
        self.database = database
        self.folder = folder
        self.slack = slack
        self.mail = mail
        self.patch = monkeypatch
        self.redis_url = redis_url
        self._server = server
        self._start_localnet = start_localnet
        self.engine: Engine = role_engine(Role.PIPELINES, database)
        self.owner: Engine = role_engine(Role.OWNER, database)
        self._is_world_made = False
        self._to_close: list[Callable[[], None]] = []
        self.receivers: dict[str, Any] = {
            "alert_webhook_url": slack.address,
            "alert_smtp_host": "127.0.0.1",
            "alert_smtp_port": mail.port,
            "alert_smtp_user": SecretStr("zmart"),
            "alert_smtp_password": SecretStr(SECRET),
            "alert_mail_from": "zmart@example.com",
            "alert_mail_to": "operators@example.com",
            "alert_min_severity": "medium",
            "alert_group_seconds": 0,
            "alert_interval_seconds": 0,
        }

    def close(self) -> None:
        if self._is_world_made:
            self.world.close()
        for close in self._to_close:
            close()
        for engine in (self.engine, self.owner):
            engine.dispose()

    @cached_property
    def world(self) -> World:
        """A chain of its own, whose disputes last an hour."""
        self._is_world_made = True
        return World(
            self._start_localnet("--dispute-period", "3600"), self.database, self.folder / "state"
        )

    def settings(self, **changes: Any) -> Settings:
        """The settings of the system, with its logins and receivers."""
        chain = {"solana_rpc_url": self.world.chain.rpc_url} if self._is_world_made else {}
        values = {
            **login_settings(self.database),
            "zmart_state": self.folder / "state",
            **chain,
            **self.receivers,
            **QUIET,
            **changes,
        }
        return Settings(**values)

    def posters(self) -> list[Poster]:
        return list(posters(self.settings()))

    def deliver(self) -> DeliveryReport:
        """Send what is due, as the sensor, the API and the watchdog do."""
        return deliver(self.engine, self.settings(), posters(self.settings()))

    def sync_and_plan(self) -> None:
        """Read the chain, then decide what is due."""
        self.world.sync()
        self.world.plan()

    def monitor(self, **changes: Any) -> None:
        """One round of the monitor, with the chain if there is one."""
        run_monitor(
            self.engine,
            self.settings(**changes),
            rpc=self.world.rpc if self._is_world_made else None,
            pins=self.world.pins if self._is_world_made else None,
        )

    def open(self) -> list[AlertKey]:
        with self.engine.connect() as conn:
            return open_alerts(conn)

    def pass_time(self, seconds: float) -> None:
        """Make everything that happened so much older. Rows that are never changed are, too."""
        with self._admin.transaction():
            for table, columns in _TIMES.items():
                # Twice, so that no row takes a key that another still has.
                for step in ("1000 days", f"{seconds - 86_400_000} seconds"):
                    shifts = ", ".join(f"{name} = {name} - interval '{step}'" for name in columns)
                    self._admin.execute(f"UPDATE {table} SET {shifts}")

    @cached_property
    def _admin(self) -> psycopg.Connection:
        """A superuser whose changes no trigger sees."""
        url = self._server.url(self.database.rpartition("/")[2], SUPERUSER)
        admin = psycopg.connect(url, autocommit=True)
        admin.execute("SET session_replication_role = replica")
        self._to_close.append(admin.close)
        return admin

    # Markets

    def traded(self, *buyers: Keypair) -> bytes:
        """An active market of wallet 1 in which each buyer has bought YES for one SOL."""
        creator = wallet(1)
        self.world.fund(creator, *(one for one in buyers if one != creator))
        market = self.world.approve(1, creator)
        self.world.trade(market, creator, *buyers)
        return market

    def without_outcome(self, *buyers: Keypair) -> bytes:
        """A market that ended without an outcome, so that it owes everything that was invested."""
        market = self.traded(*buyers)
        self.world.resolve(market, wallet(1))
        self.world.dispute(market, wallet(1))
        self.end_dispute(market, agrees=0, disagrees=0)
        self.world.sync()
        return market

    def end_dispute(self, market: bytes, *, agrees: int, disagrees: int) -> None:
        backend = self.world.chain.keys["backend"]
        self.world.send(
            backend,
            ix.aggregate_dispute_votes(
                self.world.program,
                backend_authority=backend.pubkey(),
                market=self.world.address(market),
                agrees=agrees,
                disagrees=disagrees,
            ),
        )

    def configure(self, **changes: int) -> None:
        """Change the program's configuration."""
        config = self.world.reader.config("confirmed").value
        names = (
            "protocol_fee_bps",
            "resolver_reward_bps",
            "liquidity_provider_fee_bps",
            "proposal_approval_threshold",
            "dispute_success_threshold",
            "min_resolution_delay",
            "dispute_period",
        )
        values = {name: getattr(config, name) for name in names} | changes
        admin = self.world.chain.keys["admin"]
        self.world.send(
            admin, ix.update_global_config(self.world.program, admin=admin.pubkey(), **values)
        )

    def by_admin(self, make: Callable[..., Instruction], market: bytes) -> None:
        admin = self.world.chain.keys["admin"]
        self.world.send(
            admin, make(self.world.program, admin=admin.pubkey(), market=self.world.address(market))
        )


Act = Callable[[Stage], Iterator[None]]


class Scenario(msgspec.Struct, frozen=True):
    """How a cause comes about and ends.

    Attributes:
        act: Brings it about, yields, and ends it.
        also: Topics that the same fault raises with it.
        shows: What the first query of its runbook shows of it; None: the alert's market, subject
            or text.
    """

    act: Act
    also: frozenset[str] = frozenset()
    shows: str | None = None


SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(
    topic: str, *, also: tuple[str, ...] = (), shows: str | None = None
) -> Callable[[Act], Act]:
    """Register the scenario of a topic."""

    def register(act: Act) -> Act:
        assert topic not in SCENARIOS, topic
        SCENARIOS[topic] = Scenario(act, frozenset(also), shows)
        return act

    return register
