"""How many sockets each client address has open, over all API processes.

Each process states its own count of an address in Redis, with a lease that it renews, and that it
is alive, with a shorter one. So what a killed process held is free again a few seconds later, or at
once when its successor starts; and whatever Redis loses is stated again. Where Redis does not
answer, a process counts alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

from api.background import in_background
from api.redis_script import RedisScript
from zmart_pipelines.settings import Settings

ANSWER_SECONDS: Final = 0.25
LEASE_MS: Final = 30_000
RENEW_SECONDS: Final = 10.0
# A process that has not said for so long that it is alive is dead to the others.
ALIVE_MS: Final = 5_000
ALIVE_SECONDS: Final = 1.5
# Addresses that are renewed in one turn of the event loop.
_TOGETHER: Final = 100

# Key: the counts of an address by process, each with the run of the process that stated it and the
# end of its lease. A count of another run than the process's newest is that of a killed process.
# Returns 1, or 0 where the newest socket of this process is one too many.
SCRIPT: Final = b"""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local process, run, is_new = ARGV[1], ARGV[2], ARGV[6] == '1'
local open, limit, lease = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('SET', 'sockets-run:' .. process, run, 'PX', tonumber(ARGV[7]))
local others = 0
local counts = redis.call('HGETALL', KEYS[1])
for index = 1, #counts, 2 do
    local other = counts[index]
    if other ~= process then
        local of_run, count, ends = string.match(counts[index + 1], '^(%w+) (%d+) (%d+)$')
        local is_alive = of_run and redis.call('GET', 'sockets-run:' .. other) == of_run
        if is_alive and tonumber(ends) > now then
            others = others + tonumber(count)
        else
            redis.call('HDEL', KEYS[1], other)
        end
    end
end
local granted = 1
if is_new and others + open > limit then
    granted, open = 0, open - 1
end
if open > 0 then
    redis.call('HSET', KEYS[1], process, string.format('%s %.0f %.0f', run, open, now + lease))
    redis.call('PEXPIRE', KEYS[1], lease)
else
    redis.call('HDEL', KEYS[1], process)
end
return {granted}
"""


class SocketCounts:
    """The open sockets of one process. Run with ``async with counts.running()``."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.ws_connections_per_ip
        self._process = f"{socket.gethostname()}:{settings.api_port}:{settings.api_process}"
        self._run = secrets.token_hex(8)
        self._open: Counter[str] = Counter()
        self._redis = RedisScript(
            settings.redis_url.get_secret_value(),
            SCRIPT,
            "sockets",
            when_connected=self._state_all,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the counts in Redis until the block ends."""
        async with (
            self._redis.running(),
            in_background(self._renew, "lease of sockets"),
            in_background(self._stay_alive, "life of the process"),
        ):
            yield

    async def take(self, address: str) -> bool:
        """Count one more socket of ``address``, unless it has too many; return whether."""
        if self._open[address] >= self._limit:
            return False
        self._open[address] += 1
        is_granted = False
        try:
            is_granted = await self._ask(address)
        finally:
            if not is_granted:
                self.release(address)
        return is_granted

    def release(self, address: str) -> None:
        """Count one socket of ``address`` less."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
        self._state(address)

    async def _ask(self, address: str) -> bool:
        """Return whether the newest socket is within the limit, as far as can be known."""
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def answer(values: list[Any] | None) -> None:
            if not answered.done():
                answered.set_result(values is None or values[0] == 1)

        self._redis.call(
            [_key(address)], self._arguments(address, is_new=1), answer, seconds=ANSWER_SECONDS
        )
        return await answered

    def _state(self, address: str) -> None:
        """State the count of ``address``; what is not answered is stated again."""
        if self._redis.is_connected:
            self._redis.call(
                [_key(address)],
                self._arguments(address, is_new=0),
                lambda _: None,
                seconds=ANSWER_SECONDS,
            )

    def _arguments(self, address: str, *, is_new: int) -> list[str | int]:
        open_here = self._open.get(address, 0)
        return [self._process, self._run, open_here, self._limit, LEASE_MS, is_new, ALIVE_MS]

    def _state_life(self) -> None:
        # Of no client: it makes this the process's newest run before it has any socket.
        self._state("")

    async def _stay_alive(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            self._state_life()

    def _state_all(self) -> None:
        self._state_life()
        for address in self._open:
            self._state(address)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for number, address in enumerate(tuple(self._open)):
                self._state(address)
                if number % _TOGETHER == _TOGETHER - 1:
                    await asyncio.sleep(0)


def _key(address: str) -> str:
    return f"sockets:{address}"
