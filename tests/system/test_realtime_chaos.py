"""Live updates while Redis and the API are killed: every client ends with what was stored.

Clients come, subscribe to random channels, vanish and resume at random, while wallets trade, vote
and comment. ``REALTIME_CHAOS_SEED=… .venv/bin/pytest -m … -s tests/system/test_realtime_chaos.py``
repeats the choices of a run; the number is printed by every run.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil
import pytest
import uvloop

from tests.fixtures.running_system import RunningSystem
from tests.realtime.channel_state import ALERTS, PARTS, SYSTEM, WALLET
from tests.realtime.client_model import ChannelView, Faults
from tests.realtime.crowd import Client, Crowd
from tests.realtime.http_streams import EventStream, LongPoll
from tests.realtime.signed_in_wallets import SignedInWallets
from tests.realtime.sockets import Socket
from tests.realtime.traffic import Traffic
from tests.realtime.verdict import Rest, StoredStream, heads, is_current, judge, source_of
from tests.system.parts import kill

SEED = "REALTIME_CHAOS_SEED"
# The names of the API's processes, which share the port.
API = ("api", "api-2")
# Seconds until all clients are current after the last kill, and for a killed part to be back.
SETTLE_SECONDS, BACK_SECONDS = 240, 120
# How old the newest state of the system that a client received may be then.
SYSTEM_SECONDS = 30
# Wallets that are signed in; one of so many clients, all of them with sockets, follows one of them.
WALLETS, PRIVATE_EVERY = 6, 40


@dataclass(frozen=True)
class Course:
    """How much happens in a run.

    Attributes:
        life: Mean seconds of a connection.
        pause: Mean seconds between two kills.
        trades: In a second.
        writes: Votes and comments in a second.
    """

    clients: int
    join: float
    life: float
    redis_kills: int
    api_kills: int
    pause: float
    trades: float
    writes: float


SHORT = Course(clients=200, join=5, life=8, redis_kills=2, api_kills=3, pause=3, trades=5, writes=3)
FULL = Course(
    clients=2000, join=60, life=45, redis_kills=5, api_kills=10, pause=12, trades=4, writes=2
)


@pytest.fixture
def system() -> Iterator[RunningSystem]:
    # Votes stay open, so that nothing changes any more once the wallets are quiet.
    running = RunningSystem(
        "--no-demo",
        MIN_PROPOSAL_VOTES="1000000",
        API_PROCESSES=str(len(API)),
        WS_HEARTBEAT_SECONDS="2",
        # Sessions have to be renewed in the short run too.
        ACCESS_TOKEN_SECONDS="60",
    )
    try:
        yield running
    finally:
        running.discard()


class Chaos:
    """One run of a course."""

    def __init__(self, system: RunningSystem, course: Course, seed: int) -> None:
        self.system = system
        self.course = course
        self.dice = random.Random(f"{seed}:chaos")
        self.traffic = Traffic(system, seed)
        self.traffic.wait_until_visible()
        self.crowd = Crowd(seed, course.clients, course.life)
        self.wallets = SignedInWallets(system.api, self.traffic.wallets[:WALLETS])
        for client in self.crowd.clients[::PRIVATE_EVERY]:
            client.follow(f"wallet:{client.dice.choice(self.wallets.addresses)}")
        self.killed: list[str] = []

    def channels(self) -> Sequence[str]:
        """Return the channels to choose from."""
        whole = [f"market:{market}" for market in self.traffic.markets]
        return [
            *whole,
            *(f"{one}:{part}" for one in whole for part in (*PARTS, "prices")),
            "markets",
            ALERTS,
            SYSTEM,
        ]

    def private_views(self) -> Iterator[ChannelView]:
        """Yield what the clients saw of the wallets' channels."""
        for client in self.crowd.clients:
            for channel, view in client.views.items():
                if channel.startswith(WALLET) and isinstance(view, ChannelView):
                    yield view

    async def run(self) -> None:
        """Let everything happen, then wait until all clients are current."""
        url = f"ws://127.0.0.1:{self.system.environment['WS_PORT']}/"
        socket = Socket(url, self.wallets)
        transports = (socket, socket, EventStream(self.system.api), LongPoll(self.system.api))
        async with asyncio.TaskGroup() as group:
            crowd = group.create_task(self.crowd.run(transports, self.channels, self.course.join))
            traffic = group.create_task(self.traffic.run(self.course.trades, self.course.writes))
            await asyncio.sleep(self.course.join)
            await self._kill_parts()
            await asyncio.sleep(self.course.pause)
            traffic.cancel()
            self.crowd.is_restless = False
            await self._settle()
            crowd.cancel()

    async def _kill_parts(self) -> None:
        parts = ["redis"] * self.course.redis_kills
        parts += [self.dice.choice(API) for _ in range(self.course.api_kills)]
        self.dice.shuffle(parts)
        for part in parts:
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * self.course.pause)
            old = self.system.pid(part)
            kill(old)
            self.killed.append(part)
            await asyncio.to_thread(self._wait_until_back, part, old)

    def _wait_until_back(self, part: str, old: int) -> None:
        self.system.wait_for(lambda: self._is_back(part, old), BACK_SECONDS, f"{part} back")

    def _is_back(self, part: str, old: int) -> bool:
        """Return whether another process has taken the part over and listens."""
        port = int(self.system.environment["REDIS_PORT" if part == "redis" else "API_PORT"])
        try:
            pid = self.system.pid(part)
            return pid != old and any(
                one.status == psutil.CONN_LISTEN and one.laddr.port == port
                for one in psutil.Process(pid).net_connections("tcp")
            )
        except (OSError, ValueError, psutil.NoSuchProcess):
            return False  # its record is being written, or it has ended already

    async def _settle(self) -> None:
        """Wait until nothing is stored any more and every client has applied everything.

        A fault that is known already ends the wait: a client that repairs it may never be done.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        behind: list[Client] = []
        while time.monotonic() < deadline:
            if self.crowd.faults:
                return
            before = await asyncio.to_thread(heads, self.system)
            # The state of the system changes every second, and is numbered by its milliseconds.
            now = {source_of(SYSTEM): int((time.time() - SYSTEM_SECONDS) * 1000)}
            await asyncio.sleep(3)
            behind = [one for one in self.crowd.clients if not is_current(one, {**before, **now})]
            if not behind and await asyncio.to_thread(heads, self.system) == before:
                return
        raise AssertionError(f"{len(behind)} clients are not current, {self.crowd.counts}")


def report(text: str) -> None:
    """Show a line of the run; pytest shows it with a failure, and at once with ``-s``."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(system: RunningSystem, course: Course, kind: str) -> None:
    seed = int(os.environ.get(SEED, random.SystemRandom().randrange(10**6)))
    report(
        f"\nseed {seed}; again: {SEED}={seed} .venv/bin/pytest -m {kind} -s"
        " tests/system/test_realtime_chaos.py"
    )
    system.start()
    chaos = Chaos(system, course, seed)
    uvloop.run(chaos.run())
    crowd = chaos.crowd
    report(f"killed {chaos.killed}\n{dict(chaos.traffic.done)}\n{dict(crowd.counts)}")
    verdict = judge(crowd.clients, StoredStream(system), crowd.seen, Rest(system))
    assert crowd.faults == Faults(), crowd.examples
    assert verdict.lost == []
    assert verdict.unknown == []
    assert verdict.different == []
    assert verdict.states == []
    assert crowd.seen.altered == 0
    assert crowd.errors == []
    assert crowd.counts["frames"] > 0
    assert crowd.counts["states"] > 0
    assert any(view.stretches[-1].positions for view in chaos.private_views())
    assert len(chaos.killed) == course.api_kills + course.redis_kills


@pytest.mark.system
@pytest.mark.timeout(600)
def test_clients_end_with_what_was_stored(system: RunningSystem) -> None:
    run(system, SHORT, "system")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_two_thousand_clients_end_with_what_was_stored(system: RunningSystem) -> None:
    run(system, FULL, "slow")
