"""The limit of sockets of an address, over several processes on one Redis."""

from __future__ import annotations

import asyncio
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import redis

from api.realtime import socket_counts
from api.realtime.socket_counts import SocketCounts
from zmart_pipelines.runtime.child_process import start
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.redis import RedisServer, find_server
from zmart_pipelines.settings import Settings

LIMIT = 4
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: what is tested is how Redis decides."""
    monkeypatch.setattr(socket_counts, "ANSWER_SECONDS", PATIENCE)


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Settings of processes that share a Redis, on ports that no other test has."""
    return Settings(
        redis_url=redis_url,
        ws_connections_per_ip=LIMIT,
        api_port=unused_port(),
        zmart_state=Path("/nonexistent"),
    )


@asynccontextmanager
async def process(settings: Settings, number: int) -> AsyncIterator[SocketCounts]:
    """A process that is connected; at its end nothing is released, as when it is killed."""
    counts = SocketCounts(settings.model_copy(update={"api_process": number}))
    async with counts.running():
        await until(lambda: is_connected(counts))
        yield counts


async def is_connected(counts: SocketCounts) -> bool:
    return counts._redis.is_connected


async def is_away(counts: SocketCounts) -> bool:
    return not counts._redis.is_connected


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def new_address() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize("seed", range(5))
def test_no_interleaving_passes_the_limit_or_refuses_below_it(
    settings: Settings, seed: int
) -> None:
    """Three processes take and release at random; one of them is killed now and then."""
    dice, address = Random(seed), new_address()

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            stacks = [await stack.enter_async_context(AsyncExitStack()) for _ in range(3)]
            counts = [
                await own.enter_async_context(process(settings, number))
                for number, own in enumerate(stacks, 1)
            ]
            held = [0, 0, 0]
            for _ in range(200):
                which = dice.randrange(3)
                match dice.choice(["take", "take", "release", "kill"]):
                    case "take":
                        granted = await counts[which].take(address)
                        assert granted == (sum(held) < LIMIT)
                        held[which] += granted
                    case "release" if held[which]:
                        counts[which].release(address)
                        # Sent on one connection, before what this process asks next.
                        held[which] -= 1
                        await settle(counts[which])
                    case "kill" if dice.random() < 0.2:
                        await stacks[which].aclose()
                        counts[which] = await stacks[which].enter_async_context(
                            process(settings, which + 1)
                        )
                        await settle(counts[which])
                        held[which] = 0

    asyncio.run(scenario())


async def settle(counts: SocketCounts) -> None:
    """Wait until Redis has executed what was sent."""
    probe = new_address()
    assert await counts.take(probe)
    counts.release(probe)


def test_sockets_that_open_at_the_same_time_pass_the_limit_in_no_process(
    settings: Settings,
) -> None:
    async def scenario() -> None:
        async with process(settings, 1) as one, process(settings, 2) as two:
            address = new_address()
            taken = await asyncio.gather(
                *(counts.take(address) for _ in range(5) for counts in (one, two))
            )
            assert sum(taken) == LIMIT

    asyncio.run(scenario())


def test_lease_of_a_process_that_does_not_come_back_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_counts, "ALIVE_MS", 1000)

    async def scenario() -> None:
        address = new_address()
        async with process(settings, 2) as staying:
            async with process(settings, 1) as killed:
                for _ in range(LIMIT):
                    assert await killed.take(address)
            # Where the lease has ended already, the machine is that slow.
            await until(lambda: staying.take(address))

    asyncio.run(scenario())


def test_process_without_new_sockets_stays_alive(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_counts, "ALIVE_SECONDS", 0.05)

    async def scenario() -> None:
        address = new_address()
        async with process(settings, 1) as holder, process(settings, 2) as other:
            for _ in range(LIMIT):
                assert await holder.take(address)
            with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
                life = f"sockets-run:{holder._process}"
                client.delete(life)  # as if it had ended
                await until(lambda: asyncio.to_thread(lambda: bool(client.exists(life))))
            assert not await other.take(address)

    asyncio.run(scenario())


def test_renewed_leases_last(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_counts, "LEASE_MS", 30_000)
    monkeypatch.setattr(socket_counts, "RENEW_SECONDS", 0.05)

    async def scenario() -> None:
        address = new_address()
        async with process(settings, 1) as holder, process(settings, 2) as other:
            for _ in range(LIMIT):
                assert await holder.take(address)
            with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
                client.delete(f"sockets:{address}")  # as if Redis had lost it
                await until(lambda: asyncio.to_thread(exists, client, address))
            assert not await other.take(address)

    asyncio.run(scenario())


def exists(client: redis.Redis, address: str) -> bool:
    return bool(client.exists(f"sockets:{address}"))


def test_each_process_counts_alone_while_redis_is_away(tmp_path: Path, settings: Settings) -> None:
    server = RedisServer(
        home=tmp_path / "redis", port=unused_port(), password="password", program=find_server()
    )
    server.prepare()

    async def scenario() -> None:
        own = settings.model_copy(update={"redis_url": Settings(redis_url=server.url()).redis_url})
        running = start(
            server.command(), environment={}, folder=server.home, output=subprocess.DEVNULL
        )
        await until(lambda: asyncio.to_thread(server.answers))
        address = new_address()
        try:
            async with process(own, 1) as one, process(own, 2) as two:
                for _ in range(LIMIT):
                    assert await one.take(address)
                assert not await two.take(address)
                running.kill()
                running.wait(60)
                await until(lambda: is_away(one))
                await until(lambda: is_away(two))
                assert await two.take(address)
                assert not await one.take(address)
                two.release(address)
                running = start(
                    server.command(), environment={}, folder=server.home, output=subprocess.DEVNULL
                )
                # Redis has lost everything; each process states its sockets again.
                await until(lambda: is_connected(one))
                await until(lambda: is_connected(two))
                await settle(one)
                assert not await two.take(address)
        finally:
            running.kill()
            running.wait(60)

    asyncio.run(scenario())
