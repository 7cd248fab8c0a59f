"""What the runs and sensors need from outside: database engines, the chain, the signers.

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

# A tick must end within two seconds or so, with a node that does not answer too.
GLANCE_SECONDS = 2.0
# How long the endpoint's limit may hold up a read of a tick: so long that a poll goes on at the
# limit's pace, not longer than it has.
PATIENCE = 0.5


class Backend:
    """Database and chain of this process, opened on first use and then shared by its threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        """With ``settings`` where a test gives them; else those of the process, read late."""
        self._settings = settings
        self._engines: dict[Role, Engine] = {}
        self._rpc: dict[bool, RpcClient] = {}
        self._guard: EndpointGuard | None = None
        self._lock = Lock()
        self._done: tuple[object, object] | None = None

    @property
    def settings(self) -> Settings:
        """The settings; reading them is what may fail on a wrong environment."""
        if self._settings is None:
            self._settings = process_settings()
        return self._settings

    def engine(self, role: Role) -> Engine:
        """The pool of connections that act as ``role``."""
        from zmart_pipelines.store.engine import engine

        with self._lock:
            if role not in self._engines:
                self._engines[role] = engine(role, self.settings.database_url.get_secret_value())
            return self._engines[role]

    def _client(self, *, glance: bool) -> RpcClient:
        from zmart_pipelines.chain.connect import connect

        guard = self.guard
        with self._lock:
            if glance not in self._rpc:
                timeout = min(self.settings.rpc_timeout, GLANCE_SECONDS)
                self._rpc[glance] = (
                    connect(
                        self.settings, guard=guard, timeout=timeout, attempts=1, patience=PATIENCE
                    )
                    if glance
                    else connect(self.settings, guard=guard)
                )
            return self._rpc[glance]

    @property
    def guard(self) -> EndpointGuard:
        """The breakers of the RPC endpoints, which all processes share."""
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
        """The RPC client for runs: it repeats reads that fail."""
        return self._client(glance=False)

    @property
    def glance(self) -> RpcClient:
        """The RPC client for sensors: one short try, the next tick is the repetition."""
        return self._client(glance=True)

    @property
    def reader(self) -> AccountReader:
        """Decoded accounts of the program, for runs."""
        from zmart_pipelines.chain.account_reader import AccountReader

        return AccountReader(self.rpc, self.settings.program)

    def once(self, key: object, work: Callable[[], T]) -> T:
        """What ``work`` gave when it was last done for ``key``; only the last key is kept.

        For what several steps of one run share. One run is one process and one thread.
        """
        if self._done is None or self._done[0] != key:
            self._done = (key, work())
        return cast(T, self._done[1])


BackendResource: TypeAlias = dg.ResourceParam[Backend]
