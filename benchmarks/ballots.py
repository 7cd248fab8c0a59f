"""Ballots per second through the API, as ``zmart up`` runs it, into a Postgres that syncs.

A separate process posts ballots that were signed beforehand, over connections that stay open;
each connection sends the next ballot as soon as the last is answered. The acknowledged ballots
must be the stored ones, each once, and every tally must equal its ballots.
"""

from __future__ import annotations

import json
import selectors
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import Engine, text

from benchmarks.database import backend_of, databases
from benchmarks.processes import cpu_of, cpu_of_family, parent_of
from benchmarks.rows import Row
from tests.api.conftest import SIGNING_KEY
from tests.api.running_api import RunningApi, running
from tests.fixtures.redis import running_redis
from tests.voting.world import add_market, ballot, wallet
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.voting import tallies

GOAL: Final = 1000.0
MARKETS: Final = 20
CONNECTIONS: Final = 64


def ballots(quick: bool) -> Row:
    """Measure ballots per second, acknowledged and stored."""
    with fresh_api() as (api, writer, postgres):
        markets = [add_market(writer, number) for number in range(1, MARKETS + 1)]
        total = 5_000 if quick else 30_000
        requests = _requests(markets, total + 500)
        # Plans, caches and prepared statements are made.
        require_all(load(api, requests[:500]), 201)
        before = processor_seconds(api, postgres)
        started = time.perf_counter()
        answers = load(api, requests[500:])
        seconds = time.perf_counter() - started
        served, stored, own = (
            after - at for after, at in zip(processor_seconds(api, postgres), before, strict=True)
        )
        require_all(answers, 201)
        _verify(writer, len(requests))
    rate = total / seconds
    return Row(
        "ballots",
        round(rate),
        "ballots/s acknowledged and stored",
        GOAL,
        f"{total} in {seconds:.1f} s over {CONNECTIONS} connections; processor time of one: API"
        f" {served / total * 1e6:.0f} µs, Postgres {stored / total * 1e6:.0f} µs, client"
        f" {own / total * 1e6:.0f} µs",
        rate >= GOAL,
    )


@contextmanager
def fresh_api(**changes: Any) -> Iterator[tuple[RunningApi, Engine, int]]:
    """Yield a running API on databases of its own, an engine, and the process id of Postgres.

    ``changes`` are settings.
    """
    with (
        tempfile.TemporaryDirectory(prefix="zmart-ballots-") as folder,
        databases(durable=True) as cluster,
        cluster.fresh() as url,
        running_redis(Path(folder)) as redis,
    ):
        settings = Settings(
            **login_settings(url),
            redis_url=redis.url(),
            zmart_state=Path(folder) / "state",
            api_port=unused_port(),
            ws_port=unused_port(),
            metrics_port=0,
            ballot_ttl_seconds=3600,
            auth_signing_key=SIGNING_KEY,
            **changes,
        )
        writer = role_engine(Role.INGEST, url)
        try:
            postmaster = parent_of(backend_of(writer))
            with running(settings, Path(folder)) as api:
                yield api, writer, postmaster
        finally:
            writer.dispose()


def _requests(markets: Sequence[bytes], count: int) -> list[bytes]:
    """Return complete HTTP requests, each from another wallet."""
    made = []
    for number in range(count):
        signed = ballot(
            markets[number % len(markets)], wallet(number + 1), number % 3 > 0, seconds=3000
        )
        body = json.dumps(
            {
                "market_id": signed.market_id.hex(),
                "vote": signed.choice,
                "message": signed.message,
                "signature": str(Signature(signed.signature)),
                "wallet": str(Pubkey(signed.wallet)),
            }
        ).encode()
        head = (
            "POST /api/votes/proposal HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


class Answer(NamedTuple):
    """The status of an answer and its body."""

    status: int
    body: bytes


def require_all(answers: Sequence[Answer], status: int) -> None:
    """Raise AssertionError, with the first bodies, where some answers have another status."""
    others = [answer for answer in answers if answer.status != status]
    if others:
        shown = "; ".join(f"{other.status} {other.body.decode()[:300]}" for other in others[:3])
        raise AssertionError(f"{len(others)} of {len(answers)} answers were not {status}: {shown}")


def load(api: RunningApi, requests: Sequence[bytes]) -> list[Answer]:
    """Send all requests and return their answers; a lost connection is an OSError."""
    waiting = deque(requests)
    answers: list[Answer] = []
    address = ("127.0.0.1", api.settings.api_port)
    with selectors.DefaultSelector() as selector:
        for _ in range(min(CONNECTIONS, len(requests))):
            made = socket.create_connection(address)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(made, selectors.EVENT_READ, bytearray())
            made.sendall(waiting.popleft())
        while len(answers) < len(requests):
            for key, _ in selector.select(timeout=60) or _silence():
                received: bytearray = key.data
                part = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not part:
                    raise ConnectionResetError("the API closed a connection")
                received += part
                answer = _answer(received)
                if answer is None:
                    continue
                answers.append(answer)
                received.clear()
                if waiting:
                    key.fileobj.sendall(waiting.popleft())  # type: ignore[union-attr]
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    return answers


def _silence() -> list[tuple[selectors.SelectorKey, int]]:
    raise TimeoutError("the API did not answer for a minute")


def _answer(received: bytearray) -> Answer | None:
    """Return an answer that is complete, None while part of it is missing."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    place = received.lower().find(b"content-length:", 0, end)
    length = int(received[place + 15 : received.find(b"\r\n", place)])
    body = bytes(received[end + 4 :])
    return Answer(int(received[9:12]), body) if len(body) >= length else None


def processor_seconds(api: RunningApi, postmaster: int) -> tuple[float, float, float]:
    """Return the processor seconds of the API, of Postgres and of this process."""
    server = 0 if api.process is None else api.process.pid
    return cpu_of(server), cpu_of_family(postmaster), time.process_time()


def _verify(writer: Engine, acknowledged: int) -> None:
    """Raise AssertionError unless every acknowledged ballot is stored and counted."""
    with writer.connect() as conn:
        stored = conn.execute(text("SELECT count(*) FROM voting.ballots")).scalar_one()
        counted = conn.execute(text("SELECT sum(ballots) FROM voting.tallies")).scalar_one()
        faults = tallies.find_mismatches(conn)
    if not acknowledged == stored == counted or faults:
        raise AssertionError(
            f"{acknowledged} ballots were acknowledged, {stored} are stored and {counted} counted;"
            f" faults: {faults}"
        )
