"""What the read benchmarks run on: a cluster with many markets, a Redis, the API and its rivals.

Both generators of load, the servers, Postgres and Redis share the machine's cores without
pinning: on two cores, any division would starve one of them. Windows of the two sides alternate,
so that other work on the machine hits both.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from redis import Redis

from benchmarks import many_markets
from benchmarks.database import Databases, databases
from benchmarks.express_server import Reads, running_express
from benchmarks.processes import parent_of
from benchmarks.read_server import ReadServer, Side, Stores, measure
from tests.api.conftest import SIGNING_KEY
from tests.api.running_api import running
from tests.fixtures.redis import running_redis
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role

CONNECTIONS: Final = 16
WRITES: Final = 20  # changed markets per second, beside the reads
_HOT: Final = 1000  # markets that change


class Markets:
    """A database with many markets."""

    def __init__(self, owner: str, logins: dict[str, Any]) -> None:
        self.owner = owner
        self.logins = logins

    def ids(self, limit: int) -> list[str]:
        """Return the ids of the newest markets in hexadecimal."""
        return many_markets.market_ids(self.owner, limit)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change markets at a steady rate, as trades do."""
        ended = threading.Event()
        writer = threading.Thread(target=self._change, args=[ended])
        writer.start()
        try:
            yield
        finally:
            ended.set()
            writer.join()

    def _change(self, ended: threading.Event) -> None:
        dice = random.Random(1)
        statement = """
            UPDATE market.markets SET total_volume = total_volume + 1000, updated_at = now(),
                trades_count = trades_count + 1, price_yes = %s, as_of_slot = as_of_slot + 1
            WHERE market_id = %s
        """
        ids = [bytes.fromhex(one) for one in self.ids(_HOT)]
        with psycopg.connect(self.owner, autocommit=True) as connection:
            connection.execute("SET ROLE zmart_ingest")
            while not ended.wait(1 / WRITES):
                price = dice.randrange(100_000_000, 900_000_000)
                connection.execute(statement, [price, dice.choice(ids)])


class ReadWorld:
    """A cluster and a Redis, and what was started on them."""

    def __init__(self, cluster: Databases, redis: str, stores: Stores, folder: Path) -> None:
        self._cluster = cluster
        self.redis = redis
        self._folder = folder
        self._stack = ExitStack()
        self._servers: dict[tuple[str, str], ReadServer] = {}
        self.stores = stores

    def markets(self, count: int) -> Markets:
        """Return a database of ``count`` markets."""
        url = self._stack.enter_context(self._cluster.fresh())
        owner = self._cluster.superuser(url)
        many_markets.fill(owner, count)
        return Markets(owner, login_settings(url))

    def api(self, markets: Markets, shared_seconds: float = 0) -> ReadServer:
        """Return an API as ``zmart up`` runs it.

        Args:
            markets: What it reads.
            shared_seconds: Age up to which requests share a page of the list.
        """
        name = f"API sharing {shared_seconds:g} s" if shared_seconds else "API"

        def start() -> ReadServer:
            folder = self._folder / f"api-{len(self._servers)}"
            folder.mkdir()
            settings = Settings(
                **markets.logins,
                redis_url=self.redis,
                zmart_state=folder / "state",
                # Reads of tables need no chain.
                solana_rpc_url=f"http://127.0.0.1:{unused_port()}",
                api_port=unused_port(),
                ws_port=unused_port(),
                metrics_port=0,
                # Never reached, so that the limiter counts without refusing.
                rate_limit_anonymous=1_000_000,
                rate_limit_wallet=1_000_000,
                auth_signing_key=SIGNING_KEY,
                list_shared_seconds=shared_seconds,
            )
            running_api = self._stack.enter_context(running(settings, folder))
            assert running_api.process is not None  # noqa: S101 - it is running
            return ReadServer(name, running_api.url, running_api.process.pid)

        return self._once(name, markets, start)

    def express(self, reads: Reads, markets: Markets) -> ReadServer:
        """Return a rival on the same rows and the same Redis."""
        login = markets.logins[Role.READ.setting]
        log = self._folder / f"express-{reads}.log"

        def start() -> ReadServer:
            return self._stack.enter_context(running_express(reads, login, self.redis, log))

        return self._once(reads, markets, start)

    def _once(self, name: str, markets: Markets, start: Callable[[], ReadServer]) -> ReadServer:
        key = (name, markets.owner)
        if key not in self._servers:
            self._servers[key] = start()
        return self._servers[key]

    def close(self) -> None:
        """Stop the servers."""
        self._stack.close()


@contextmanager
def read_world() -> Iterator[ReadWorld]:
    """Yield a world whose Postgres syncs its WAL, as in the product."""
    with (
        tempfile.TemporaryDirectory(prefix="zmart-reads-") as name,
        databases(durable=True) as cluster,
        cluster.fresh() as url,
        running_redis(Path(name)) as redis,
    ):
        with psycopg.connect(url) as connection:
            postmaster = parent_of(connection.info.backend_pid)
        stores = Stores(postmaster, _process_of(redis.url()))
        world = ReadWorld(cluster, redis.url(), stores, Path(name))
        try:
            yield world
        finally:
            world.close()


def _process_of(redis: str) -> int:
    with Redis.from_url(redis) as client:
        return int(client.info("server")["process_id"])


def in_turns(
    servers: Sequence[tuple[ReadServer, Sequence[str]]],
    stores: Stores,
    *,
    rounds: int,
    seconds: float,
    connections: int = CONNECTIONS,
) -> list[Side]:
    """Load each server with its paths, one window after the other, for so many rounds.

    A first round, in which plans, caches and code become warm, does not count.
    """
    sides = [Side(server.name, []) for server, _ in servers]
    for number in range(rounds + 1):
        for side, (server, paths) in zip(sides, servers, strict=True):
            measured = measure(server, stores, paths, seconds if number else 1, connections)
            if number:
                side.windows.append(measured)
            time.sleep(0.1)
    return sides
