"""Mixed users on the whole system: each sends a request a second, four of five of them reads.

``zmart up`` as shipped but for the number of ballots that ends a vote, so that votes stay open,
with the limits of every address, wallet and socket on. The markets are drafted, created on the
local chain and ingested like any others. Each user has an address and a keypair of its own and
signs its ballots, comments and drafts; every other one has a service's key, which has no limit
of requests. Every fifth also has a socket, which must receive every comment under its market.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

import httpx
import msgspec
import psutil
import uvloop
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.localnet import Traders
from benchmarks.open_loop import Outcome, User, run
from benchmarks.rows import Row
from benchmarks.wallet_calls import COMMENT, SHARES, WalletCalls, service_of
from tests.fixtures.control_plane import stored_settings
from tests.fixtures.running_system import RunningSystem

GOAL_100: Final = 100.0
GOAL_500: Final = 200.0
MARKETS: Final = 60
SOCKETS: Final = 5  # users for one socket
WARM_UP: Final = 5
_SETTLE_SECONDS: Final = 30.0
_PATIENCE: Final = 120.0
_WRITES: Final = frozenset({"ballot", COMMENT, "draft"})


class Crowd(NamedTuple):
    """Users, and the seconds for which they are measured."""

    users: int
    seconds: int


class Measured(NamedTuple):
    """What one crowd gave.

    Attributes:
        frames: Comments that sockets received.
        owed: Comments that they should have received.
        cpu: Processor seconds of the system for one request, by the process's name.
    """

    outcomes: list[Outcome]
    frames: int
    owed: int
    cpu: dict[str, float]

    def percentile(self, share: float, kinds: Sequence[str] = tuple(SHARES)) -> float:
        """Return the time in milliseconds within which a share of the requests was answered."""
        times = sorted(one.seconds for one in self.outcomes if one.kind in kinds)
        return 1e3 * times[min(len(times) - 1, int(share * len(times)))]

    def errors(self) -> list[str]:
        """Return the answers that were not successful."""
        return [
            f"{one.kind} {one.status} {one.text[:200].decode(errors='replace')}"
            for one in self.outcomes
            if not 200 <= one.status < 300
        ]


def users_100(quick: bool) -> Row:
    """Measure a hundred users."""
    measured = _measured(quick)[0]
    return _row("users_100", GOAL_100, 0.99, _crowds(quick)[0], measured)


def users_500(quick: bool) -> Row:
    """Measure five hundred users."""
    measured = _measured(quick)[1]
    return _row("users_500", GOAL_500, 0.95, _crowds(quick)[1], measured)


def _crowds(quick: bool) -> tuple[Crowd, Crowd]:
    return (Crowd(20, 5), Crowd(40, 5)) if quick else (Crowd(100, 60), Crowd(500, 60))


@cache
def _measured(quick: bool) -> list[Measured]:
    # One system for both, because its start takes longest.
    with booted() as system:
        scene = Scene(system, MARKETS // 10 if quick else MARKETS)
        return [scene.run(crowd) for crowd in _crowds(quick)]


@contextlib.contextmanager
def booted() -> Iterator[RunningSystem]:
    """Yield a system in which votes stay open and addresses are limited as on a public network."""
    with RunningSystem(
        "--no-demo", MIN_PROPOSAL_VOTES="1000000", RATE_LIMIT_ANONYMOUS="100"
    ) as system:
        system.start()
        yield system


class Scene:
    """A running system with proposed markets to read, vote and comment on.

    Attributes:
        markets: Their ids in hexadecimal.
    """

    def __init__(self, system: RunningSystem, markets: int) -> None:
        self._system = system
        self._port = int(system.environment["API_PORT"])
        self._service = service_of(system.api)
        self._key = stored_settings(system)["SERVICE_API_KEY"]
        self._numbers = iter(range(100_000))
        self.markets = uvloop.run(self._create(markets))

    def run(self, crowd: Crowd) -> Measured:
        """Return what a crowd of new users gives."""
        return uvloop.run(self._measure(crowd))

    async def _measure(self, crowd: Crowd) -> Measured:
        users, calls = [], []
        for _ in range(crowd.users):
            number = next(self._numbers)
            users.append(User(number, self._port))
            # Every other user comes through a service, whose key has no limit of requests.
            headers = {"X-Api-Key": self._key} if number % 2 else {}
            wallet = WalletCalls(Keypair(), self._service, self.markets, number, headers)
            calls.append(wallet.take(WARM_UP + crowd.seconds))
        async with self._sockets(users[::SOCKETS]) as sockets:
            before = self._cpu()
            outcomes = await run(users, calls)
            spent = {name: cpu - before.get(name, 0.0) for name, cpu in self._cpu().items()}
            owed = await sockets.settle(outcomes)
        for user in users:
            user.close()
        measured = [one for one in outcomes if one.second >= WARM_UP]
        cpu = {name: seconds / len(outcomes) for name, seconds in spent.items()}
        return Measured(measured, sockets.received, owed, cpu)

    async def _create(self, count: int) -> list[str]:
        """Draft markets, create them on chain and wait until the API has them."""
        node = f"http://127.0.0.1:{self._system.environment['LOCALNET_PORT']}"
        chain = Traders(node, self._system.state / "localnet")
        made = []
        for _ in range(count):
            creator, number = Keypair(), next(self._numbers)
            chain.call("requestAirdrop", str(creator.pubkey()), 10_000_000_000)
            user = User(number, self._port)
            draft = WalletCalls(creator, self._service, [], number, {}).draft()
            status, text = await user.send(draft)
            user.close()
            if status != 201:
                raise RuntimeError(f"a draft was refused: {text.decode()}")
            answer = msgspec.json.decode(text)
            unsigned = VersionedTransaction.from_bytes(base64.b64decode(answer["transaction"]))
            signed = bytes(VersionedTransaction(unsigned.message, [creator]))
            options = {"encoding": "base64", "preflightCommitment": "processed"}
            chain.call("sendTransaction", base64.b64encode(signed).decode(), options)
            made.append(answer["market"]["id"])
        deadline = time.monotonic() + _PATIENCE
        async with httpx.AsyncClient(base_url=self._system.api, trust_env=False) as client:
            for market in made:
                while (await client.get(f"/api/markets/{market}")).status_code != 200:
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"market {market} did not appear")
                    await asyncio.sleep(0.2)
        return made

    @contextlib.asynccontextmanager
    async def _sockets(self, users: Sequence[User]) -> AsyncIterator[Sockets]:
        url = f"ws://127.0.0.1:{self._system.environment['WS_PORT']}/"
        sockets = Sockets()
        async with contextlib.AsyncExitStack() as stack:
            group = await stack.enter_async_context(asyncio.TaskGroup())
            for number, user in enumerate(users):
                socket = await stack.enter_async_context(
                    connect(url, local_addr=(user.address, 0), open_timeout=60)
                )
                market = self.markets[number % len(self.markets)]
                await socket.send(f'{{"action":"subscribe","channel":"market:{market}"}}')
                sockets.subscribed[market] += 1
                stack.callback(group.create_task(sockets.listen(socket)).cancel)
            yield sockets

    def _cpu(self) -> dict[str, float]:
        """Return the processor seconds of the system's processes so far, by name."""
        spent: defaultdict[str, float] = defaultdict(float)
        for process in self._system.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent[_name(process)] += times.user + times.system
        return spent


def _name(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    if "-m api" in command:
        return "api"
    if process.name() in ("postgres", "redis-server"):
        return process.name()
    return "localnet" if "localnet" in command else "the rest"


class Sockets:
    """What the sockets of a crowd receive."""

    def __init__(self) -> None:
        self.received = 0
        self.subscribed: Counter[str] = Counter()
        self._arrived = asyncio.Event()

    async def listen(self, socket: ClientConnection) -> None:
        """Count the comments until the task is cancelled."""
        async for text in socket:
            if msgspec.json.decode(text).get("type") == "discussion":
                self.received += 1
                self._arrived.set()

    async def settle(self, outcomes: Sequence[Outcome]) -> int:
        """Wait until every comment has arrived, or for long; return how many should have."""
        comments = [one for one in outcomes if one.kind == COMMENT and one.status == 201]
        markets = [msgspec.json.decode(one.text)["discussion"]["market_id"] for one in comments]
        owed = sum(self.subscribed[market] for market in markets)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                while self.received < owed:
                    self._arrived.clear()
                    await self._arrived.wait()
        return owed


def _row(name: str, goal: float, share: float, crowd: Crowd, measured: Measured) -> Row:
    value = measured.percentile(share)
    errors = measured.errors()
    reads = [kind for kind in SHARES if kind not in _WRITES]
    kinds = sorted(
        {one.kind for one in measured.outcomes},
        key=lambda kind: -measured.percentile(0.95, [kind]),
    )
    parts = [
        f"{len(measured.outcomes)} requests in {crowd.seconds} s",
        _percentiles("reads", measured, reads),
        _percentiles("writes", measured, sorted(_WRITES)),
        f"{len(errors)} errors (goal 0)" + "".join(f" {one}" for one in errors[:2]),
        f"sockets received {measured.frames} of {measured.owed} comments",
        "p95 by kind: "
        + ", ".join(f"{kind} {measured.percentile(0.95, [kind]):.0f}" for kind in kinds)
        + " ms",
        "CPU of one: "
        + ", ".join(f"{part} {cpu * 1e3:.2f}" for part, cpu in measured.cpu.items())
        + " ms",
        f"load {os.getloadavg()[0]:.1f}",
    ]
    ok = value < goal and not errors and measured.frames == measured.owed
    unit = f"ms, p{share * 100:.0f} of {crowd.users} users"
    return Row(name, round(value, 1), unit, goal, "; ".join(parts), ok)


def _percentiles(title: str, measured: Measured, kinds: Sequence[str]) -> str:
    times = [one.seconds * 1e3 for one in measured.outcomes if one.kind in kinds]
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return f"{title} p50 {cuts[49]:.0f}, p95 {cuts[94]:.0f}, p99 {cuts[98]:.0f} ms"
