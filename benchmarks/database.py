"""Databases to measure on, in an embedded Postgres configured as in the product."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import Engine, text

from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine, running_postgres
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.migrate import migrate

_TEMPLATE: Final = "migrated"
_TICKS: Final = 100


class Databases:
    """Fresh databases with the whole schema in one temporary cluster."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._create(_TEMPLATE, "template0")
        migrate(server.url(_TEMPLATE))

    def _create(self, name: str, template: str) -> None:
        with psycopg.connect(self._server.url("postgres", SUPERUSER), autocommit=True) as admin:
            self._server.create_database(admin, name, template=template)

    def superuser(self, url: str) -> str:
        """Return the URL of the same database for the superuser."""
        return self._server.url(url.rsplit("/", 1)[1], SUPERUSER)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the URL of a database that its user owns and that is dropped afterwards."""
        name = f"bench_{next(self._numbers)}"
        self._create(name, _TEMPLATE)
        try:
            yield self._server.url(name)
        finally:
            with psycopg.connect(self._server.url("postgres", SUPERUSER), autocommit=True) as admin:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def databases(*, durable: bool = True) -> Iterator[Databases]:
    """Yield a cluster; a durable one syncs its WAL, as in the product."""
    with running_postgres(durable=durable) as server:
        yield Databases(server)


@contextmanager
def writer(url: str) -> Iterator[Engine]:
    """Yield an engine of the ingest role with one open connection."""
    made = role_engine(Role.INGEST, url, pool_size=1, max_overflow=0, statement_timeout=600)
    try:
        with made.connect() as conn:
            conn.execute(text("SELECT 1"))
        yield made
    finally:
        made.dispose()


class Spent(NamedTuple):
    """Seconds of wall time and of processor time."""

    wall: float
    cpu: float


class Clock:
    """Wall time, and processor time of this process and one Postgres backend together."""

    def __init__(self, backend: int) -> None:
        self._stat = Path(f"/proc/{backend}/stat")
        self._wall = time.perf_counter()
        self._cpu = self._cpu_seconds()

    def _cpu_seconds(self) -> float:
        ours = time.process_time()
        if not self._stat.exists():  # no procfs: only this process is counted
            return ours
        fields = self._stat.read_text().rsplit(")", 1)[1].split()
        return ours + (int(fields[11]) + int(fields[12])) / _TICKS

    def read(self) -> Spent:
        """Return what was spent since the clock was created."""
        return Spent(time.perf_counter() - self._wall, self._cpu_seconds() - self._cpu)


def backend_of(made: Engine) -> int:
    """Return the process id of the backend behind the engine's one connection."""
    with made.connect() as conn:
        number: int = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return number
