"""From chain event to API, in the running system: ``python -m benchmarks.latency``.

A whole ``zmart up`` on ports of its own: local chain, Postgres, Redis, API, Dagster. Wallets
buy at a steady rate, readers send requests to the API, and a watcher polls the market's
trades. The clock of a trade starts when its block is confirmed (the node's ``slotSubscribe``
notification, sent before the webhook is built) and stops with the first answer of
``GET /api/markets/{id}/trades`` that contains it, so the watcher's pause and its own request
are included. ``socket`` stops with the frame on the market's channel.

With ``--no-webhook`` the chain posts nothing and only Dagster's poll reads the trades.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import httpx
import msgspec
import uvloop
from websockets.asyncio.client import connect

from benchmarks.localnet import Traders
from tests.fixtures.running_system import RunningSystem

GOALS: Final = {"webhook": {"p50": 0.05, "p99": 0.3}, "poll": {"max": 10.0}}
# Seconds between two requests of the watcher, and between two of one reader.
LOOK: Final = 0.003
READ: Final = 0.1
# A blockhash is valid for a minute of slots.
BLOCKHASH_SECONDS: Final = 5.0


class Figures(msgspec.Struct, frozen=True):
    """Percentiles of many measurements, in seconds."""

    number: int
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Figures:
        """Return the figures of at least two measurements."""
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(len(seconds), cuts[49], cuts[89], cuts[98], max(seconds))

    def text(self) -> str:
        shown = [f"{name} {getattr(self, name) * 1e3:.0f}" for name in ("p50", "p90", "p99", "max")]
        return f"{', '.join(shown)} ms of {self.number}"


class Measured(msgspec.Struct):
    """The times that one run recorded, by the monotonic clock."""

    sent: set[str] = set()
    confirmed: dict[int, float] = {}
    slots: dict[str, int] = {}
    shown: dict[str, float] = {}
    framed: dict[str, float] = {}
    reads: list[float] = []

    def seconds(self, seen: dict[str, float]) -> list[float]:
        """Return the times from confirmation to ``seen`` of every trade that was sent and seen."""
        return [
            moment - self.confirmed[self.slots[signature]]
            for signature, moment in seen.items()
            if signature in self.sent and signature in self.slots
        ]


class Load:
    """One new market under trades, with readers, a socket and, with a ``page``, the watcher.

    Args:
        system: Where everything runs.
        rate: Trades in a second.
        readers: Clients that each read ten pages in a second.
        page: How many of the newest trades the watcher reads at a time; 0: there is none.
    """

    def __init__(self, system: RunningSystem, rate: float, readers: int, page: int) -> None:
        self._system = system
        self._rate = rate
        self._readers = readers
        self._node = f"127.0.0.1:{int(system.environment['LOCALNET_PORT'])}"
        self._sockets = f"127.0.0.1:{int(system.environment['LOCALNET_PORT']) + 1}"
        self._traders = Traders(f"http://{self._node}", system.state / "localnet", os.urandom(32))
        self._market = self._traders.market_id.hex()
        self._page = page
        self.measured = Measured()
        self._ended = False
        self._all_seen = asyncio.Event()

    async def run(self, seconds: float, patience: float) -> Measured:
        """Trade for ``seconds``; then wait at most ``patience`` seconds for trades in flight."""
        await self._until_open()
        async with contextlib.AsyncExitStack() as stack:
            api = await stack.enter_async_context(
                httpx.AsyncClient(base_url=self._system.api, timeout=30, trust_env=False)
            )
            node = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://{self._node}", timeout=30, trust_env=False)
            )
            group = await stack.enter_async_context(asyncio.TaskGroup())
            tasks = [
                group.create_task(self._slots()),
                group.create_task(self._listen()),
                *(group.create_task(self._read(api, n)) for n in range(self._readers)),
            ]
            if self._page:
                tasks.append(group.create_task(self._watch(api)))
            await asyncio.sleep(2)
            await self._trade(node, seconds)
            self._ended = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._all_seen.wait()
            for task in tasks:
                task.cancel()
        return self.measured

    async def _until_open(self) -> None:
        """Wait until the API shows the market as active."""
        async with httpx.AsyncClient(base_url=self._system.api, trust_env=False) as api:
            for _ in range(300):
                answer = await api.get(f"/api/markets/{self._market}")
                if answer.is_success and answer.json()["state"] == "ACTIVE":
                    return
                await asyncio.sleep(0.1)
        raise RuntimeError("the market did not become active")

    async def _slots(self) -> None:
        """Record when each slot was confirmed: when the slot on top of it opened."""
        async with connect(f"ws://{self._sockets}") as socket:
            await socket.send('{"jsonrpc":"2.0","id":1,"method":"slotSubscribe","params":[]}')
            async for text in socket:
                now = time.monotonic()
                message: dict[str, Any] = msgspec.json.decode(text)
                if "params" in message:
                    self.measured.confirmed[message["params"]["result"]["parent"]] = now

    async def _watch(self, api: httpx.AsyncClient) -> None:
        """Request the newest trades in an endless loop."""
        trades = f"/api/markets/{self._market}/trades?limit={self._page}"
        while True:
            answer = await api.get(trades)
            now = time.monotonic()
            answer.raise_for_status()
            for trade in msgspec.json.decode(answer.content)["trades"]:
                signature = trade["tx_signature"]
                if signature not in self.measured.shown:
                    self.measured.shown[signature] = now
                    self.measured.slots[signature] = trade["slot"]
            self._end_when_seen(self.measured.shown)
            await asyncio.sleep(LOOK)

    async def _listen(self) -> None:
        """Follow the market's channel."""
        address = f"ws://127.0.0.1:{self._system.environment['WS_PORT']}/"
        async with connect(address) as socket:
            await socket.send(f'{{"action":"subscribe","channel":"market:{self._market}"}}')
            async for text in socket:
                now = time.monotonic()
                message = msgspec.json.decode(text)
                if message["type"] == "trade":
                    signature = message["data"]["tx_signature"]
                    self.measured.framed.setdefault(signature, now)
                    self.measured.slots[signature] = message["data"]["slot"]
                    if not self._page:
                        self._end_when_seen(self.measured.framed)

    def _end_when_seen(self, seen: Mapping[str, float]) -> None:
        if self._ended and self.measured.sent <= seen.keys():
            self._all_seen.set()

    async def _read(self, api: httpx.AsyncClient, number: int) -> None:
        """Request what a page shows, as readers do."""
        paths = (
            f"/api/markets/{self._market}",
            "/api/markets?limit=50",
            f"/api/markets/{self._market}/trades?limit=20",
            "/health",
        )
        await asyncio.sleep(number * READ / max(1, self._readers))
        while True:
            begun = time.monotonic()
            (await api.get(paths[len(self.measured.reads) % len(paths)])).raise_for_status()
            self.measured.reads.append(time.monotonic() - begun)
            await asyncio.sleep(READ)

    async def _trade(self, node: httpx.AsyncClient, seconds: float) -> None:
        """Send buys at the rate; a few are rejected by the program and do not count."""
        options = {"encoding": "base64", "preflightCommitment": "processed"}
        begun = time.monotonic()
        recent, fresh_until = self._traders.blockhash(), begun + BLOCKHASH_SECONDS
        for number in range(int(seconds * self._rate)):
            await asyncio.sleep(max(0.0, begun + number / self._rate - time.monotonic()))
            if time.monotonic() > fresh_until:
                recent = await asyncio.to_thread(self._traders.blockhash)
                fresh_until = time.monotonic() + BLOCKHASH_SECONDS
            body = {
                "jsonrpc": "2.0",
                "id": number,
                "method": "sendTransaction",
                "params": [self._traders.signed(number, recent), options],
            }
            answer = (await node.post("/", content=msgspec.json.encode(body))).json()
            if "result" in answer:
                self.measured.sent.add(answer["result"])


def _met(figures: Figures, goals: dict[str, float]) -> bool:
    return all(getattr(figures, name) <= goal for name, goal in goals.items())


@click.command()
@click.option("--seconds", default=60.0, help="How long wallets trade.")
@click.option("--rate", default=25.0, help="Trades in a second.")
@click.option("--readers", default=8, help="Readers, each asking the API ten times a second.")
@click.option("--no-webhook", is_flag=True, help="The poll alone.")
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object.")
def main(seconds: float, rate: float, readers: int, no_webhook: bool, as_json: bool) -> None:
    """Measure how long a confirmed trade takes to be visible in the API."""
    with RunningSystem("--no-demo", *(["--no-webhook"] if no_webhook else [])) as system:
        system.start()
        # A poll reads the trades of five seconds at once.
        load = Load(system, rate, readers, 200 if no_webhook else 50)
        measured = uvloop.run(load.run(seconds, patience=30 if no_webhook else 10))
    lost = len(measured.sent - measured.shown.keys())
    source = "poll" if no_webhook else "webhook"
    figures = {
        "API": Figures.of(measured.seconds(measured.shown)),
        "socket": Figures.of(measured.seconds(measured.framed)),
        "reads": Figures.of(measured.reads),
    }
    goals = GOALS[source]
    met = lost == 0 and _met(figures["API"], goals)
    if as_json:
        found = {"source": source, "met": met, "lost": lost, **figures}
        click.echo(msgspec.json.encode(found).decode())
    else:
        wanted = ", ".join(f"{name} {goal * 1e3:.0f} ms" for name, goal in goals.items())
        click.echo(f"by {source}, {rate:g} trades and {readers * 1 / READ:g} reads a second")
        for name, one in figures.items():
            click.echo(f"  {name:<8}{one.text()}")
        click.echo(f"  goal    {wanted}: {'ok' if met else 'NOT MET'}; not seen: {lost}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
