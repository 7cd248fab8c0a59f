"""How long the sender of a webhook waits: ``python -m benchmarks.answers``.

The API process runs on the embedded Postgres, with its WAL synced, and Redis. One sender posts
bodies of one new transaction each, from the lives of many markets, at a steady rate, whether
or not the previous ones are answered; readers send requests meanwhile. A time runs from the
moment a body was due to its answer.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
import httpx
import msgspec
import psutil
import uvloop

from benchmarks.database import databases
from benchmarks.history import History
from benchmarks.latency import READ, Figures
from tests.api.conftest import SECRET, settings_for
from tests.api.running_api import running
from tests.fixtures.redis import running_redis

GOAL_P99: Final = 0.05
GOAL_MAX: Final = 1.0
WARM_UP: Final = 50


class Sender:
    """Posts to one API and records its answers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seconds: list[float] = []
        self.reads: list[float] = []
        self.refused = 0
        self.pending = 0

    async def run(self, bodies: list[bytes], rate: float, readers: int) -> None:
        """Post all bodies, after a few that open connections and fill caches."""
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(
            base_url=self._url, timeout=30, trust_env=False, limits=limits
        ) as client:
            for body in bodies[:WARM_UP]:
                await self._post(client, body, time.monotonic())
            self.seconds.clear()
            self.pending = 0
            reading = [
                asyncio.create_task(self._read(client, READ * number / readers))
                for number in range(readers)
            ]
            begun = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for number, body in enumerate(bodies[WARM_UP:]):
                    due = begun + number / rate
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    group.create_task(self._post(client, body, due))
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def _post(self, client: httpx.AsyncClient, body: bytes, due: float) -> None:
        answer = await client.post(
            "/api/webhooks/helius", content=body, headers={"authorization": SECRET}
        )
        self.seconds.append(time.monotonic() - due)
        if answer.is_success:
            self.pending += answer.json()["pending"]
        else:
            self.refused += 1

    async def _read(self, client: httpx.AsyncClient, offset: float) -> None:
        await asyncio.sleep(offset)
        for path in itertools.cycle(("/api/markets?limit=50", "/health")):
            begun = time.monotonic()
            (await client.get(path)).raise_for_status()
            self.reads.append(time.monotonic() - begun)
            await asyncio.sleep(READ)


def _singles(number: int) -> list[bytes]:
    """Return bodies of one transaction each."""
    elements = itertools.islice(History().elements(), number)
    return [msgspec.json.encode([one]) for one in elements]


@click.command()
@click.option("--seconds", default=30.0, help="How long bodies are posted.")
@click.option("--rate", default=50.0, help="Bodies in a second.")
@click.option("--readers", default=8, help="Readers, each asking ten times a second.")
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object.")
def main(seconds: float, rate: float, readers: int, as_json: bool) -> None:
    """Measure how long deliveries wait for their answer."""
    bodies = _singles(WARM_UP + int(seconds * rate))
    with (
        databases() as made,
        made.fresh() as database,
        tempfile.TemporaryDirectory() as folder,
        running_redis(Path(folder)) as redis,
    ):
        settings = settings_for(database, redis.url(), Path(folder) / "state")
        with running(settings, Path(folder)) as api:
            sender = Sender(api.url)
            assert api.process is not None  # noqa: S101 - it is running
            process = psutil.Process(api.process.pid)
            before, begun = process.cpu_times(), time.monotonic()
            uvloop.run(sender.run(bodies, rate, readers))
            after = process.cpu_times()
            busy = (after.user + after.system - before.user - before.system) / (
                time.monotonic() - begun
            )
    answers, reads = Figures.of(sender.seconds), Figures.of(sender.reads)
    met = not sender.refused and answers.p99 <= GOAL_P99 and answers.max <= GOAL_MAX
    if as_json:
        found = {
            "met": met,
            "answers": answers,
            "reads": reads,
            "pending": sender.pending,
            "busy": round(busy, 3),
        }
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo(f"{rate:g} deliveries and {readers / READ:g} reads a second")
        click.echo(f"  answers {answers.text()}")
        click.echo(f"  reads   {reads.text()}")
        click.echo(f"  the API used {busy:.0%} of a core")
        click.echo(
            f"  goal    p99 {GOAL_P99 * 1e3:.0f} ms, max {GOAL_MAX * 1e3:.0f} ms: "
            f"{'ok' if met else 'NOT MET'}; refused {sender.refused}, "
            f"answered as pending {sender.pending}"
        )
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
