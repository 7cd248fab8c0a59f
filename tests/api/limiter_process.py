"""A process that takes tokens without pause: ``python -m tests.api.limiter_process``.

Arguments: Redis's URL, the quota's limit and window (ms), how often to ask, and from how many
buckets each request takes. Prints ``ready`` once it is connected, starts at the first line of
input, then prints how many requests were allowed and its processor time in nanoseconds.
"""

from __future__ import annotations

import asyncio
import sys
import time

from api.rate_limit import redis_buckets
from api.rate_limit.limiter import Charge, Limiter
from api.rate_limit.redis_buckets import RedisBuckets
from api.rate_limit.token_bucket import Quota

# Requests that ask in the same turn of the event loop.
TOGETHER = 10
# However busy the machine is: what is tested is how Redis decides.
redis_buckets.ANSWER_SECONDS = 60  # type: ignore[misc]


async def main(url: str, limit: int, window_ms: int, asked: int, buckets: int) -> None:
    connection = RedisBuckets(url)
    limiter = Limiter(connection)
    charges = [Charge(Quota(f"shared{n}", limit, window_ms), "one") for n in range(buckets)]
    async with limiter.running():
        while not connection.is_connected:  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0.01)
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)
        allowed, began = 0, time.process_time_ns()
        for _ in range(asked // TOGETHER):
            decisions = await asyncio.gather(*(limiter.take(*charges) for _ in range(TOGETHER)))
            allowed += sum(decision.is_allowed for decision in decisions)
        spent = time.process_time_ns() - began
    print(allowed, spent, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *(int(value) for value in sys.argv[2:])))
