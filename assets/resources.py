"""What runs and sensors need from outside: database engines and RPC clients.

A plain object, not a ``ConfigurableResource``: it has no Dagster configuration at all. The
settings are read in the process that does the work, so that no secret can enter a run's
configuration, its metadata or the GraphQL answers.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import dagster as dg

from zmart_pipelines.settings import Settings
from zmart_pipelines.settings import settings as process_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from zmart_pipelines.chain.account_reader import AccountReader
    from zmart_pipelines.chain.endpoint_guard import EndpointGuard
    from zmart_pipelines.chain.rpc import RpcClient
    from zmart_pipelines.store.engine import Role


T = TypeVar("T")

# Seconds that one RPC read of a sensor may take: a tick must end within two seconds or so even
# when a node does not answer.
SENSOR_RPC_SECONDS = 2.0
# Seconds that an endpoint's rate limit may hold up a read of a sensor: long enough for a poll to
# continue at the limit's pace, no longer than a tick has.
SENSOR_RPC_PATIENCE = 0.5


class Backend:
    """Database and chain of this process, opened on first use and then shared by its threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Use ``settings`` (tests), or else read those of the process when first needed."""
        self._settings = settings
        self._engines: dict[Role, Engine] = {}
        self._run_rpc: RpcClient | None = None
        self._sensor_rpc: RpcClient | None = None
        self._guard: EndpointGuard | None = None
        self._lock = Lock()
        self._memoized: tuple[object, object] | None = None

    @property
    def settings(self) -> Settings:
        """The settings of the environment; where it has no logins, those of the running system.

        Raises:
            SystemNotRunning: the environment names no database, and no system runs.
        """
        if self._settings is None:
            from zmart_pipelines.runtime.running_system import require_running_system

            self._settings = require_running_system(process_settings())
        return self._settings

    def engine(self, role: Role) -> Engine:
        """Return the pool of connections with the login of ``role``."""
        from zmart_pipelines.store.engine import engine
        from zmart_pipelines.store.stream import announce_commits, publisher

        with self._lock:
            if role not in self._engines:
                made = engine(role, self.settings)
                announce_commits(made, publisher(self.settings.redis_url.get_secret_value()))
                self._engines[role] = made
            return self._engines[role]

    @property
    def guard(self) -> EndpointGuard:
        """The circuit breakers of the RPC endpoints, which all processes share."""
        from zmart_pipelines.breakers import policies
        from zmart_pipelines.breakers.endpoint_breakers import DatabaseGuard
        from zmart_pipelines.store.engine import Role

        pipelines = self.engine(Role.PIPELINES)
        with self._lock:
            if self._guard is None:
                self._guard = DatabaseGuard(pipelines, policies.endpoint_policy(self.settings))
            return self._guard

    @property
    def rpc(self) -> RpcClient:
        """The RPC client for runs, which retries reads that fail."""
        from zmart_pipelines.chain.connect import connect

        guard = self.guard
        with self._lock:
            if self._run_rpc is None:
                self._run_rpc = connect(self.settings, guard=guard)
            return self._run_rpc

    @property
    def sensor_rpc(self) -> RpcClient:
        """The RPC client for sensors: one short attempt; the next tick is the retry."""
        from zmart_pipelines.chain.connect import connect

        guard = self.guard
        with self._lock:
            if self._sensor_rpc is None:
                self._sensor_rpc = connect(
                    self.settings,
                    guard=guard,
                    timeout=min(self.settings.rpc_timeout, SENSOR_RPC_SECONDS),
                    attempts=1,
                    patience=SENSOR_RPC_PATIENCE,
                )
            return self._sensor_rpc

    @property
    def reader(self) -> AccountReader:
        """Decoded accounts of the program, for runs."""
        from zmart_pipelines.chain.account_reader import AccountReader

        return AccountReader(self.rpc, self.settings.program)

    def memoize_last(self, key: object, work: Callable[[], T]) -> T:
        """Return what ``work`` returned when it was last called for ``key``.

        Only the last key is kept. It is for what several steps of one run share; one run is one
        process and one thread.
        """
        if self._memoized is None or self._memoized[0] != key:
            self._memoized = (key, work())
        return cast(T, self._memoized[1])


BackendResource: TypeAlias = dg.ResourceParam[Backend]
