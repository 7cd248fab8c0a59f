"""What the runs and sensors need from outside: database engines, the chain, the signers.

A plain object, not a ``ConfigurableResource``: it has no Dagster configuration at all. The
settings are read in the process that does the work, so that no secret can enter a run's
configuration, its metadata or the GraphQL answers.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

import dagster as dg

from zmart_pipelines.settings import Settings
from zmart_pipelines.settings import settings as process_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from zmart_pipelines.chain.reader import ChainReader
    from zmart_pipelines.chain.rpc import RpcClient
    from zmart_pipelines.store.engine import Role


class Backend:
    """Database and chain of this process, opened on first use and then shared by its threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        """With ``settings`` where a test gives them; else those of the process, read late."""
        self._settings = settings
        self._engines: dict[Role, Engine] = {}
        self._rpc: RpcClient | None = None
        self._lock = Lock()

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

    @property
    def rpc(self) -> RpcClient:
        """The RPC client of this process."""
        from zmart_pipelines.chain.rpc import RpcClient

        with self._lock:
            if self._rpc is None:
                self._rpc = RpcClient(
                    self.settings.solana_rpc_url.get_secret_value(), self.settings.rpc_timeout
                )
            return self._rpc

    @property
    def reader(self) -> ChainReader:
        """Decoded accounts of the program."""
        from zmart_pipelines.chain.reader import ChainReader

        return ChainReader(self.rpc, self.settings.program)


BackendResource: TypeAlias = dg.ResourceParam[Backend]
